#include "core/folded_names.h"

#include <cstdint>

#include "core/path_pattern.h"

namespace qi {
namespace {

// Default_Ignorable_Code_Point, which utf8(7) casefolding in the kernel drops; HFS+ drops some of them.
bool SaysNothing(uint32_t c) {
  static constexpr uint32_t kRanges[][2] = {
      {0xad, 0xad},     {0x34f, 0x34f},   {0x61c, 0x61c},     {0x115f, 0x1160},   {0x17b4, 0x17b5},  {0x180b, 0x180f},
      {0x200b, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x206f},   {0x3164, 0x3164},   {0xfe00, 0xfe0f},  {0xfeff, 0xfeff},
      {0xffa0, 0xffa0}, {0xfff0, 0xfff8}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}};
  for (const auto& range : kRanges) {
    if (c >= range[0] && c <= range[1]) return true;
  }
  return false;
}

// The next character as it is compared; 0 at the end.
uint32_t Next(const char** text) {
  constexpr uint32_t kLongS = 0x17f, kKelvin = 0x212a;  // the two that fold to ASCII letters
  while (**text != 0) {
    uint32_t c = TakeCharacter(text);
    if (SaysNothing(c)) continue;
    if (c == kLongS) return 's';
    if (c == kKelvin) return 'k';
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
  }
  return 0;
}

// From dots and spaces to the end of a name, which `c` is if there are none.
uint32_t EndOfName(uint32_t c, const char** text) {
  while (c == '.' || c == ' ') c = Next(text);
  return c;
}

}  // namespace

bool WithinFolded(const char* path, const char* folder) {
  for (;;) {
    uint32_t f = Next(&folder), p = Next(&path);
    if (f == 0) {
      p = EndOfName(p, &path);
      return p == 0 || p == '/';
    }
    if (f == '/') p = EndOfName(p, &path);
    if (p != f) return false;
  }
}

}  // namespace qi
