// The part of D-Bus's wire format that asking systemd for a scope takes: method calls out; replies, errors and signals
// in. D-Bus specification, "Message Format" and "Marshaling". Little-endian only, as every host we run on. Runs in:
// monitor.
#pragma once
#include <cstddef>
#include <cstdint>

namespace qi {

inline constexpr size_t kBusMaxMessage = 16 * 1024;  // the specification allows 128 MiB; what we await is short
inline constexpr size_t kBusHeadSize = 16;           // the fixed part, with the length of the header fields

enum class BusType : uint8_t { kCall = 1, kReturn = 2, kError = 3, kSignal = 4 };

struct BusCall {
  const char* destination;
  const char* path;
  const char* interface;
  const char* member;
  const char* signature;  // of the body, "" for none
};

// Writes one method call. Values are put in the order of the signature; overflow is remembered.
class BusWriter {
 public:
  BusWriter(const BusCall& call, uint32_t serial);

  void Byte(uint8_t value);
  void U32(uint32_t value);
  void String(const char* text);  // `s` and `o`
  void Signature(const char* text);
  void Align(size_t bytes);

  // Around the elements of an array.
  struct Array {
    size_t length_at, begin;
  };
  Array BeginArray(size_t element_alignment);
  void EndArray(const Array& array);

  // Sets the length of the body. False when it did not fit.
  bool Finish();

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void Field(uint8_t code, const char* signature, const char* text);
  void Poke(size_t at, uint32_t value);

  uint8_t data_[2048];
  size_t size_ = 0;
  size_t body_ = 0;
  bool overflow_ = false;
};

// Reads values; each answers false when the bytes have no such value there.
class BusReader {
 public:
  BusReader(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  bool Byte(uint8_t* value);
  bool U32(uint32_t* value);
  bool String(const char** text);  // `s` and `o`; NUL-terminated, points into the data
  bool Signature(const char** text);
  bool Align(size_t bytes);
  bool AtEnd() const { return at_ == size_; }

 private:
  bool Text(size_t length, const char** text);

  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

// Texts are "" where the message has none, and point into its bytes.
struct BusMessage {
  BusType type = BusType::kCall;
  uint32_t reply_serial = 0;
  const char* path = "";
  const char* interface = "";
  const char* member = "";
  const char* error_name = "";
  const char* sender = "";
  const char* signature = "";
  const uint8_t* body = nullptr;
  size_t body_size = 0;

  BusReader Body() const { return {body, body_size}; }
};

// How long the message is that begins with these kBusHeadSize bytes; 0 when it is none of ours to read.
size_t BusMessageSize(const uint8_t* head);

// `data` is one whole message. False when anything in it is not as specified.
bool ParseBusMessage(const uint8_t* data, size_t size, BusMessage* message);

}  // namespace qi
