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
// TLS' encrypted_client_hello is no reason to refuse: browsers send it filled with chance (GREASE) so that nobody can
// tell. When it is real, the SNI read here is that of the server which can open it, and it is judged like any other: a
// cover that is not allowed itself is refused.
bool ReadSaidHost(const uint8_t* bytes, size_t size, SaidHost* said);

}  // namespace qi
