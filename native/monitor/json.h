// Writes one JSON line into a fixed buffer. Text from the payload may be any bytes: invalid UTF-8 becomes U+FFFD,
// control characters are escaped, so a line is always one line and always parses. Runs in: monitor.
#pragma once
#include <cstddef>
#include <cstdint>

namespace qi {

// Length of the valid UTF-8 sequence at `p`, 0 if there is none. RFC 3629: no overlong forms, no surrogates.
size_t Utf8Length(const unsigned char* p, const unsigned char* end);

class JsonWriter {
 public:
  void Clear() { size_ = 0, fresh_ = true, overflow_ = false; }
  void Open(char bracket) { Separate(), Put(bracket), fresh_ = true; }
  void Close(char bracket) { Put(bracket), fresh_ = false; }
  void Key(const char* name) { Separate(), Quote(name, nullptr), Put(':'), fresh_ = true; }
  void String(const char* text);
  void String(const char* bytes, size_t length);
  void Number(int64_t value);
  void Unsigned(uint64_t value);
  void Bool(bool value) { Raw(value ? "true" : "false"); }
  void Hex(uint64_t value);        // as a string: JSON numbers lose 64-bit values
  void Raw(const char* json);      // trusted JSON, a value
  void Members(const char* json);  // trusted JSON members without braces

  void Pair(const char* key, const char* value) { Key(key), String(value); }
  void Pair(const char* key, int64_t value) { Key(key), Number(value); }

  void EndLine() { Put('\n'); }
  const char* data() const { return buffer_; }
  size_t size() const { return size_; }
  // The buffer was too small and the line is cut: not to be written. Callers bound their fields so that it cannot be.
  bool overflow() const { return overflow_; }

 private:
  void Put(char c) {
    if (size_ < sizeof(buffer_)) {
      buffer_[size_++] = c;
    } else {
      overflow_ = true;
    }
  }
  void Separate() {
    if (!fresh_) Put(',');
    fresh_ = false;
  }
  void Quote(const char* text, const char* end);

  char buffer_[64 * 1024];
  size_t size_ = 0;
  bool fresh_ = true;
  bool overflow_ = false;
};

}  // namespace qi
