// A strict check of RFC 8259 for the fuzz targets: one value, no white space, valid UTF-8, nothing unescaped.
#ifndef QI_FUZZ_JSON_LINE_H_
#define QI_FUZZ_JSON_LINE_H_

#include <cstddef>
#include <cstring>

class JsonLine {
 public:
  JsonLine(const char* text, size_t size) : at_(text), end_(text + size) {}
  bool Whole() { return Value(0) && at_ == end_; }

 private:
  bool Take(char c) { return at_ < end_ && *at_ == c && ++at_; }
  bool TakeWord(const char* word) {
    size_t n = strlen(word);
    if (static_cast<size_t>(end_ - at_) < n || memcmp(at_, word, n) != 0) return false;
    at_ += n;
    return true;
  }
  bool IsDigit() const { return at_ < end_ && *at_ >= '0' && *at_ <= '9'; }
  bool Value(int depth) {
    if (depth > 16 || at_ == end_) return false;
    if (*at_ == '{') return Items('{', '}', true, depth);
    if (*at_ == '[') return Items('[', ']', false, depth);
    if (*at_ == '"') return String();
    return TakeWord("true") || TakeWord("false") || TakeWord("null") || Number();
  }
  bool Items(char open, char close, bool keys, int depth) {
    if (!Take(open)) return false;
    if (Take(close)) return true;
    do {
      if (keys && (!String() || !Take(':'))) return false;
      if (!Value(depth + 1)) return false;
    } while (Take(','));
    return Take(close);
  }
  bool Number() {
    (void)Take('-');
    if (Take('0')) return !IsDigit();
    if (!IsDigit()) return false;
    while (IsDigit()) ++at_;
    return true;
  }
  bool String() {
    if (!Take('"')) return false;
    while (at_ < end_ && *at_ != '"') {
      if (!(*at_ == '\\' ? Escape() : Character())) return false;
    }
    return Take('"');
  }
  bool Escape() {
    if (!TakeWord("\\u")) return false;  // the only form we write
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ == end_ || strchr("0123456789abcdef", *at_) == nullptr || *at_ == 0) return false;
    }
    return true;
  }
  bool Character() {
    auto c = static_cast<unsigned char>(*at_++);
    if (c < 0x80) return c >= 0x20 && c != 0x7f;
    int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    unsigned long point = c & (0x3fu >> more);
    for (int i = 0; i < more; ++i) {
      if (at_ == end_ || (*at_ & 0xc0) != 0x80) return false;
      point = point << 6 | (static_cast<unsigned char>(*at_++) & 0x3f);
    }
    constexpr unsigned long kFirst[] = {0, 0x80, 0x800, 0x10000};
    return c >= 0xc2 && point >= kFirst[more] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
  }

  const char* at_;
  const char* end_;
};

inline bool IsJsonLine(const char* text, size_t size) { return JsonLine(text, size).Whole(); }

#endif  // QI_FUZZ_JSON_LINE_H_
