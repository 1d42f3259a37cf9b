// Which host a client names in the first bytes of a connection: TLS (RFC 8446, 6066) or HTTP/1 (RFC 9112). Called again
// with all bytes so far each time more have come. Stricter than the servers behind: what two readers could read
// differently is refused, or the name we see would not be the one that they act on. May run in: gateway.
#pragma once
#include <cstddef>
#include <cstdint>

#include "network/address.h"
#include "network/name.h"

namespace qi {

constexpr size_t kMaxFirstBytes = 64 * 1024;  // a buffer of this size is enough: at the end of it nothing needs more

enum class HelloResult : uint8_t { kNeedMore, kGood, kOther, kMalformed };  // kOther: another protocol

struct ClientHello {
  Name name;               // SNI; empty when it has none. A client may wrongly send an IP address: it is here as text
  bool encrypted = false;  // has encrypted_client_hello: maybe GREASE, but if not, `name` is only its cover
};
HelloResult ParseClientHello(const void* bytes, size_t size, ClientHello* hello);

struct HttpHost {
  Name name;  // empty when it is an address
  bool is_address = false;
  IpAddress address;
  uint16_t port = 0;  // 0: not given
};

struct HttpHead {
  bool connect = false;       // CONNECT: `target` is where it wants to go
  bool has_target = false;    // CONNECT or an absolute request target: servers obey it and ignore Host
  bool target_https = false;  // the scheme of an absolute one
  HttpHost host, target;
  size_t size = 0;  // of the head; the body follows
};
HelloResult ParseHttpHead(const void* bytes, size_t size, HttpHead* head);

}  // namespace qi
