#include "network/address.h"

#include <arpa/inet.h>

#include <cstddef>
#include <cstring>

namespace qi {
namespace {

constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct Block {
  const char* network;
  uint8_t prefix;  // of its own family
  AddressClass name;
};

// IANA's special-purpose registries (RFC 6890), narrower blocks first. Documentation networks lead nowhere and are left
// to be public.
constexpr Block kBlocks[] = {
    {"127.0.0.0", 8, AddressClass::kLoopback},     {"0.0.0.0", 8, AddressClass::kUnspecified},
    {"169.254.0.0", 16, AddressClass::kLinkLocal}, {"10.0.0.0", 8, AddressClass::kPrivate},
    {"172.16.0.0", 12, AddressClass::kPrivate},    {"192.168.0.0", 16, AddressClass::kPrivate},
    {"100.64.0.0", 10, AddressClass::kPrivate},    {"192.0.0.0", 24, AddressClass::kReserved},
    {"192.88.99.0", 24, AddressClass::kReserved},  {"198.18.0.0", 15, AddressClass::kReserved},
    {"224.0.0.0", 4, AddressClass::kMulticast},    {"255.255.255.255", 32, AddressClass::kMulticast},
    {"240.0.0.0", 4, AddressClass::kReserved},     {"::1", 128, AddressClass::kLoopback},
    {"::", 128, AddressClass::kUnspecified},       {"fe80::", 10, AddressClass::kLinkLocal},
    {"fc00::", 7, AddressClass::kPrivate},         {"fec0::", 10, AddressClass::kPrivate},
    {"ff00::", 8, AddressClass::kMulticast},       {"100::", 64, AddressClass::kReserved},
    {"64:ff9b:1::", 48, AddressClass::kPrivate},   {"5f00::", 16, AddressClass::kReserved},
    {"2001:2::", 48, AddressClass::kReserved},     {"2001:10::", 28, AddressClass::kReserved},
    {"::ffff:0:0:0", 96, AddressClass::kReserved},
};

// Where an IPv6 address carries an IPv4 one: a translator or tunnel on the way would deliver to that.
struct Carrier {
  const char* network;
  uint8_t prefix;
  uint8_t at;      // first byte of the inner address
  uint8_t invert;  // Teredo (RFC 4380) stores it inverted
};
constexpr Carrier kCarriers[] = {
    {"64:ff9b::", 96, 12, 0}, {"2002::", 16, 2, 0}, {"2001::", 32, 12, 0xff}, {"::", 96, 12, 0}};

const Block* FindBlock(const IpAddress& address) {
  for (const Block& block : kBlocks) {
    IpAddress network;
    (void)ParseAddress(block.network, &network);  // constants
    uint8_t prefix = static_cast<uint8_t>(network.Is4() ? block.prefix + 96 : block.prefix);
    if (Within(address, network, prefix)) return &block;
  }
  return nullptr;
}

bool Carried(const IpAddress& address, IpAddress* inner) {
  if (address.Is4()) return false;
  for (const Carrier& carrier : kCarriers) {
    IpAddress network;
    (void)ParseAddress(carrier.network, &network);  // constants
    if (!Within(address, network, carrier.prefix)) continue;
    uint8_t four[4];
    for (size_t i = 0; i < 4; ++i) four[i] = address.bytes[carrier.at + i] ^ carrier.invert;
    *inner = From4(four);
    return true;
  }
  return false;
}

}  // namespace

bool IpAddress::Is4() const { return memcmp(bytes, kMappedPrefix, sizeof(kMappedPrefix)) == 0; }

bool IpAddress::operator==(const IpAddress& other) const { return memcmp(bytes, other.bytes, sizeof(bytes)) == 0; }

bool IsOwnLoopback(const IpAddress& address) {
  constexpr uint8_t kZeros[15] = {};
  const uint8_t* bytes = address.bytes;
  if (address.Is4()) return bytes[12] == 127 || memcmp(bytes + 12, kZeros, 4) == 0;
  return memcmp(bytes, kZeros, 15) == 0 && bytes[15] <= 1;
}

IpAddress LoopbackOf(const IpAddress& address) {
  if (Classify(address) != AddressClass::kUnspecified) return address;
  if (address.Is4()) return From4("\x7f\0\0\1");
  IpAddress loopback;
  loopback.bytes[15] = 1;
  return loopback;
}

const char* ClassName(AddressClass c) {
  switch (c) {
    case AddressClass::kPublic:
      return "public";
    case AddressClass::kLoopback:
      return "loopback";
    case AddressClass::kUnspecified:
      return "unspecified";
    case AddressClass::kLinkLocal:
      return "link-local";
    case AddressClass::kPrivate:
      return "private";
    case AddressClass::kMulticast:
      return "multicast";
    case AddressClass::kReserved:
      return "reserved";
  }
  return "reserved";
}

AddressClass Classify(const IpAddress& address) {
  if (const Block* block = FindBlock(address)) return block->name;
  IpAddress inner;
  return Carried(address, &inner) ? Classify(inner) : AddressClass::kPublic;
}

uint8_t ClassPrefix(const IpAddress& address) {
  const Block* block = FindBlock(address);
  if (block != nullptr)
    return static_cast<uint8_t>(strchr(block->network, ':') != nullptr ? block->prefix : block->prefix + 96);
  IpAddress inner;
  // A carrier of a special address: only a rule for that one address covers it.
  return Carried(address, &inner) && Classify(inner) != AddressClass::kPublic ? 128 : 0;
}

bool Within(const IpAddress& address, const IpAddress& network, uint8_t prefix) {
  size_t whole = prefix / 8;
  if (memcmp(address.bytes, network.bytes, whole) != 0) return false;
  unsigned rest = prefix % 8;
  if (rest == 0) return true;
  unsigned mask = 0xff00u >> rest & 0xff;
  return ((address.bytes[whole] ^ network.bytes[whole]) & mask) == 0;
}

bool FromSockaddr(const void* address, size_t length, IpAddress* ip, uint16_t* port) {
  sa_family_t family;
  if (length < sizeof(family)) return false;
  memcpy(&family, address, sizeof(family));
  if (family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in in;
    memcpy(&in, address, sizeof(in));
    *ip = From4(&in.sin_addr);
    *port = ntohs(in.sin_port);
    return true;
  }
  // The kernel takes RFC 2133's shorter form, without the scope id: SIN6_LEN_RFC2133.
  constexpr size_t kShort = offsetof(sockaddr_in6, sin6_scope_id);
  if (family != AF_INET6 || length < kShort) return false;
  sockaddr_in6 in6 = {};
  memcpy(&in6, address, kShort);
  memcpy(ip->bytes, &in6.sin6_addr, sizeof(ip->bytes));
  *port = ntohs(in6.sin6_port);
  return true;
}

socklen_t ToSockaddr(const IpAddress& ip, uint16_t port, int family, sockaddr_storage* out) {
  memset(out, 0, sizeof(*out));
  if (family == AF_INET) {
    if (!ip.Is4()) return 0;
    sockaddr_in in = {};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    memcpy(&in.sin_addr, ip.bytes + 12, 4);
    memcpy(out, &in, sizeof(in));
    return sizeof(in);
  }
  sockaddr_in6 in6 = {};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(port);
  memcpy(&in6.sin6_addr, ip.bytes, sizeof(ip.bytes));
  memcpy(out, &in6, sizeof(in6));
  return sizeof(in6);
}

bool ParseAddress(const char* text, IpAddress* out) {
  uint8_t four[4];
  if (inet_pton(AF_INET, text, four) == 1) {
    *out = From4(four);
    return true;
  }
  return inet_pton(AF_INET6, text, out->bytes) == 1;
}

void FormatAddress(const IpAddress& ip, char (&text)[INET6_ADDRSTRLEN]) {
  if (ip.Is4()) {
    (void)inet_ntop(AF_INET, ip.bytes + 12, text, sizeof(text));  // cannot fail: the room is enough
  } else {
    (void)inet_ntop(AF_INET6, ip.bytes, text, sizeof(text));
  }
}

IpAddress From4(const void* four_bytes) {
  IpAddress ip;
  memcpy(ip.bytes, kMappedPrefix, sizeof(kMappedPrefix));
  memcpy(ip.bytes + 12, four_bytes, 4);
  return ip;
}

}  // namespace qi
