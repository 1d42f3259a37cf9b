// Host names: one spelling each, so that a comparison is a comparison of bytes. May run in: monitor, gateway.
#pragma once
#include <cstddef>
#include <cstdint>

namespace qi {

// Lower case, no dot at the end, labels of 1 to 63 of a-z 0-9 - _, at most 253 bytes (RFC 1035, 2.3.4). NUL-terminated.
struct Name {
  char text[254] = "";
  uint8_t size = 0;

  bool empty() const { return size == 0; }
  bool operator==(const Name& other) const;
};

// Any case, one dot at the end allowed. False for anything else: no other byte has a business in a host name.
bool ParseName(const char* text, size_t size, Name* out);

// `name` lies below `domain` on a label boundary: a.b.example.com below example.com, but neither example.com itself nor
// badexample.com.
bool IsBelow(const Name& name, const Name& domain);

}  // namespace qi
