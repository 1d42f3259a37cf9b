#include "network/name.h"

#include <cstring>

namespace qi {
namespace {

// -1: not part of a host name. Bytes, not ctype: the locale has no say in what a name is.
int Lower(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A' + 'a';
  bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  return good ? c : -1;
}

}  // namespace

bool Name::operator==(const Name& other) const { return size == other.size && memcmp(text, other.text, size) == 0; }

bool ParseName(const char* text, size_t size, Name* out) {
  constexpr size_t kMaxName = 253, kMaxLabel = 63;
  if (size > 0 && text[size - 1] == '.') --size;
  if (size == 0 || size > kMaxName) return false;
  size_t label = 0;
  for (size_t i = 0; i < size; ++i) {
    if (text[i] == '.') {
      if (label == 0) return false;
      label = 0;
      out->text[i] = '.';
      continue;
    }
    int c = Lower(text[i]);
    if (c < 0 || ++label > kMaxLabel) return false;
    out->text[i] = static_cast<char>(c);
  }
  if (label == 0) return false;
  out->text[size] = 0;
  out->size = static_cast<uint8_t>(size);
  return true;
}

bool IsBelow(const Name& name, const Name& domain) {
  if (domain.empty() || name.size <= domain.size + 1) return false;
  size_t at = static_cast<size_t>(name.size) - domain.size;
  return name.text[at - 1] == '.' && memcmp(name.text + at, domain.text, domain.size) == 0;
}

}  // namespace qi
