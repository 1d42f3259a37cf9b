#include "monitor/sentence.h"

#include <poll.h>

#include <cinttypes>
#include <climits>
#include <cstdio>
#include <cstring>

#include "core/fd.h"
#include "monitor/json.h"

namespace qi {
namespace {

// C0 and C1 controls and DEL are commands to a terminal; line separators (U+2028 and U+2029) and direction overrides
// (U+202A to U+202E, U+2066 to U+2069) make a line look like another one.
bool IsUnsafe(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

// Of a sequence of at most three bytes; what is longer is beyond U+FFFF.
uint32_t CodePoint(const unsigned char* p, size_t count) {
  if (count == 1) return p[0];
  if (count == 2) return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
  return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
}

bool IsPlain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c != 0 && strchr("_@%+=:,./-", c) != nullptr);
}

bool IsPlainWord(const char* text) {
  if (*text == 0 || *text == '-') return false;
  while (IsPlain(*text)) ++text;
  return *text == 0;
}

}  // namespace

void Sentence::Put(const char* bytes, size_t count) {
  if (count > sizeof(text_) - 2 - size_) return;  // a line break and a NUL always fit
  memcpy(text_ + size_, bytes, count);
  size_ += count;
}

void Sentence::AddSequence(const unsigned char* p, size_t count) {
  if (count == 0) return Put("\xef\xbf\xbd", 3);  // no UTF-8: U+FFFD
  uint32_t c = count <= 3 ? CodePoint(p, count) : UINT32_MAX;
  if (!IsUnsafe(c)) return Put(reinterpret_cast<const char*>(p), count);
  char escape[8];
  Put(escape, static_cast<size_t>(snprintf(escape, sizeof(escape), "\\u%04x", c)));
}

void Sentence::AddText(const char* text, size_t size) {
  const auto* p = reinterpret_cast<const unsigned char*>(text);
  const auto* end = p + size;
  while (p < end) {
    size_t count = Utf8Length(p, end);
    AddSequence(p, count);
    p += count > 0 ? count : 1;
  }
}

Sentence& Sentence::Add(const char* text) {
  AddText(text, strlen(text));
  return *this;
}

Sentence& Sentence::AddNumber(uint64_t number) {
  char text[24];
  Put(text, static_cast<size_t>(snprintf(text, sizeof(text), "%" PRIu64, number)));
  return *this;
}

Sentence& Sentence::AddSize(uint64_t bytes) {
  static const char* const kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t power = 0;
  while (power < 4 && bytes >> (10 * (power + 1)) != 0) ++power;
  uint64_t unit = uint64_t{1} << (10 * power);
  char text[40];
  int n = bytes < 10 * unit && bytes % unit != 0
              ? snprintf(text, sizeof(text), "%" PRIu64 ".%" PRIu64 " %s", (bytes * 10 + unit / 2) / unit / 10,
                         (bytes * 10 + unit / 2) / unit % 10, kUnits[power])
              : snprintf(text, sizeof(text), "%" PRIu64 " %s", (bytes + unit / 2) / unit, kUnits[power]);
  Put(text, static_cast<size_t>(n));
  return *this;
}

Sentence& Sentence::AddWord(const char* text) {
  if (IsPlainWord(text)) return Add(text);
  Put("'", 1);
  for (const char* quote = strchr(text, '\''); quote != nullptr; quote = strchr(text, '\'')) {
    AddText(text, static_cast<size_t>(quote - text));
    Put("'\\''", 4);
    text = quote + 1;
  }
  Add(text);
  Put("'", 1);
  return *this;
}

const char* Sentence::Finish() {
  text_[size_++] = '\n';
  text_[size_] = 0;
  return text_;
}

void WriteToPerson(int fd, const char* text, size_t size) {
  constexpr int kPatienceMs = 2000;
  for (int refused = 0; size > 0 && refused < 100;) {
    // Where there is room for this much, writing it does not wait, whatever the descriptor's flags: a payload may have
    // filled the stream, or stopped the terminal's output (tcflow).
    pollfd room = {fd, POLLOUT, 0};
    if (RetryEintr([&] { return poll(&room, 1, kPatienceMs); }) != 1) return;
    ssize_t n = RetryEintr([&] { return write(fd, text, size < PIPE_BUF ? size : PIPE_BUF); });
    if (n == 0 || (n < 0 && errno != EAGAIN)) return;
    if (n < 0) {
      ++refused;  // by a socket, which has room for less
      continue;
    }
    text += n;
    size -= static_cast<size_t>(n);
  }
}

}  // namespace qi
