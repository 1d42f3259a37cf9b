// IP addresses as one type: IPv4 is kept in its IPv4-mapped form, so that no rule can be passed by writing the same
// host another way. May run in: monitor, gateway.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

namespace qi {

struct IpAddress {
  uint8_t bytes[16] = {};  // network order

  bool Is4() const;
  bool operator==(const IpAddress& other) const;
};

// What an address is for, RFC 6890 and its updates. Addresses that carry another one (IPv4-compatible, NAT64, 6to4,
// Teredo) have the class of the inner one when that is not public.
enum class AddressClass : uint8_t {
  kPublic,
  kLoopback,
  kUnspecified,  // 0.0.0.0/8, ::
  kLinkLocal,    // 169.254.0.0/16 with the metadata service, fe80::/10
  kPrivate,      // RFC 1918, 100.64.0.0/10, fc00::/7, fec0::/10
  kMulticast,    // and limited broadcast
  kReserved      // 192.0.0.0/24, 198.18.0.0/15, 240.0.0.0/4, 100::/64, ...
};
// 127.0.0.0/8, 0.0.0.0, ::1 and ::; connecting to "any" is connecting to the loopback.
bool IsOwnLoopback(const IpAddress& address);
// The loopback address of its family for an unspecified address, any other as it is: what connecting to it connects to.
IpAddress LoopbackOf(const IpAddress& address);
const char* ClassName(AddressClass c);
AddressClass Classify(const IpAddress& address);

// The longest prefix (as of 128 bits) that holds `address` and nothing of another class: an allowed network no wider
// than it was meant for such addresses. 0 for public ones.
uint8_t ClassPrefix(const IpAddress& address);

bool Within(const IpAddress& address, const IpAddress& network, uint8_t prefix);  // prefix of 128 bits

// False for another family or a short address. The scope id of IPv6 is dropped.
bool FromSockaddr(const void* address, size_t length, IpAddress* ip, uint16_t* port);
// `family`: AF_INET or AF_INET6 (an IPv4 address then in its mapped form). Returns the length; 0: not possible.
socklen_t ToSockaddr(const IpAddress& ip, uint16_t port, int family, sockaddr_storage* out);

bool ParseAddress(const char* text, IpAddress* out);  // inet_pton of either family
void FormatAddress(const IpAddress& ip, char (&text)[INET6_ADDRSTRLEN]);
IpAddress From4(const void* four_bytes);

}  // namespace qi
