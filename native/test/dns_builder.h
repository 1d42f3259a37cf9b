// Test-only: DNS messages from pieces, right ones and wrong ones.
#pragma once
#include <cstdint>
#include <string>

#include "network/dns_message.h"

namespace qi_test {

inline std::string U16(unsigned v) { return {static_cast<char>(v >> 8), static_cast<char>(v)}; }
inline std::string U32(uint32_t v) { return U16(v >> 16) + U16(v & 0xffff); }
inline std::string Label(const std::string& s) { return static_cast<char>(s.size()) + s; }
inline std::string Pointer(size_t at) { return U16(0xc000 | static_cast<unsigned>(at)); }
inline const std::string kRoot(1, '\0');

inline std::string Wire(const std::string& dotted) {
  std::string out;
  for (size_t at = 0; at < dotted.size();) {
    size_t dot = dotted.find('.', at);
    if (dot == std::string::npos) dot = dotted.size();
    out += Label(dotted.substr(at, dot - at));
    at = dot + 1;
  }
  return out + kRoot;
}

inline std::string Header(unsigned id, unsigned flags, unsigned qd, unsigned an, unsigned ns, unsigned ar) {
  return U16(id) + U16(flags) + U16(qd) + U16(an) + U16(ns) + U16(ar);
}
inline std::string Question(const std::string& wire, unsigned type, unsigned klass = 1) {
  return wire + U16(type) + U16(klass);
}
inline std::string Rr(const std::string& owner, unsigned type, uint32_t ttl, const std::string& data,
                      unsigned klass = 1) {
  return owner + U16(type) + U16(klass) + U32(ttl) + U16(static_cast<unsigned>(data.size())) + data;
}
inline std::string Opt(unsigned size = 1232, uint32_t ttl = 0, const std::string& options = "") {
  return Rr(kRoot, qi::kDnsOpt, ttl, options, size);
}
inline std::string Soa(uint32_t minimum) {
  return Wire("ns.example") + Wire("root.example") + U32(1) + U32(2) + U32(3) + U32(4) + U32(minimum);
}

inline qi::Name Host(const std::string& text) {
  qi::Name name;
  (void)qi::ParseName(text.data(), text.size(), &name);  // tests compare it
  return name;
}

// A copy that ends where its allocation ends, for the sanitizer to see one byte too many.
template <typename Body>
auto Exactly(const std::string& bytes, Body body) {
  char* copy = new char[bytes.size()];
  bytes.copy(copy, bytes.size());
  auto result = body(copy, bytes.size());
  delete[] copy;
  return result;
}

}  // namespace qi_test
