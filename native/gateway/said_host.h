// The host that a client names in its first bytes, TLS or HTTP/1. Runs in: gateway.
#pragma once
#include "network/tls_hello.h"

namespace qi {

struct SaidHost {
  Name name;
  bool is_address = false;
  IpAddress address;
  const char* fault = nullptr;  // a literal: why these bytes lead nowhere
};

// False: more bytes are needed. Of HTTP it is the first request that counts: later ones on the connection go to whom
// the server behind takes them for.
//
// A TLS hello with an encrypted one inside (ECH) is refused: a server that can open it goes by the name in there,
// whatever the cover says. Browsers send it filled with chance so that nobody can tell (GREASE, RFC 9849), but what
// runs in a jail finds no ECH keys, for HTTPS records are not answered, and the clients of servers do not send it
// unasked.
bool ReadSaidHost(const uint8_t* bytes, size_t size, SaidHost* said);

}  // namespace qi
