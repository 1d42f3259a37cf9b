#include "monitor/json.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <initializer_list>

namespace qi {

size_t Utf8Length(const unsigned char* p, const unsigned char* end) {
  size_t n = p[0] < 0x80                   ? 1
             : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
             : (p[0] & 0xf0) == 0xe0       ? 3
             : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                           : 0;
  if (n == 0 || static_cast<size_t>(end - p) < n) return 0;
  for (size_t i = 1; i < n; ++i) {
    if ((p[i] & 0xc0) != 0x80) return 0;
  }
  if (p[0] == 0xe0 && p[1] < 0xa0) return 0;
  if (p[0] == 0xed && p[1] >= 0xa0) return 0;
  if (p[0] == 0xf0 && p[1] < 0x90) return 0;
  if (p[0] == 0xf4 && p[1] >= 0x90) return 0;
  return n;
}

void JsonWriter::Quote(const char* text, const char* text_end) {
  const auto* p = reinterpret_cast<const unsigned char*>(text);
  const auto* end = text_end != nullptr ? reinterpret_cast<const unsigned char*>(text_end) : p + strlen(text);
  Put('"');
  while (p < end) {
    size_t n = Utf8Length(p, end);
    char escape[8];
    if (n == 0) {
      for (char c : {'\xef', '\xbf', '\xbd'}) Put(c);
      ++p;
    } else if (n == 1 && (*p < 0x20 || *p == '"' || *p == '\\' || *p == 0x7f)) {
      int length = snprintf(escape, sizeof(escape), "\\u%04x", *p++);
      for (int i = 0; i < length; ++i) Put(escape[i]);
    } else if (n == 2 && p[0] == 0xc2 && p[1] < 0xa0) {
      // U+0080 to U+009F are commands to some terminals, which an audit file may be shown on.
      int length = snprintf(escape, sizeof(escape), "\\u%04x", p[1]);
      for (int i = 0; i < length; ++i) Put(escape[i]);
      p += n;
    } else {
      while (n-- > 0) Put(static_cast<char>(*p++));
    }
  }
  Put('"');
}

void JsonWriter::String(const char* text) { Separate(), Quote(text, nullptr); }
void JsonWriter::String(const char* bytes, size_t length) { Separate(), Quote(bytes, bytes + length); }

void JsonWriter::Number(int64_t value) {
  char text[24];
  snprintf(text, sizeof(text), "%" PRId64, value);
  Raw(text);
}

void JsonWriter::Unsigned(uint64_t value) {
  char text[24];
  snprintf(text, sizeof(text), "%" PRIu64, value);
  Raw(text);
}

void JsonWriter::Hex(uint64_t value) {
  char text[24];
  snprintf(text, sizeof(text), "0x%" PRIx64, value);
  String(text);
}

void JsonWriter::Raw(const char* json) {
  Separate();
  while (*json != 0) Put(*json++);
}

void JsonWriter::Members(const char* json) {
  if (*json != 0) Raw(json);
}

}  // namespace qi
