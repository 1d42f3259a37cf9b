// Sockets in the host's network namespace. Runs in: gateway.
#pragma once
#include "core/fd.h"
#include "network/address.h"

namespace qi {

// A non-blocking socket connected (SOCK_DGRAM) or being connected (SOCK_STREAM) to there. `type` without flags: the
// filter knows the one combination of them that is used here. Empty on failure, with errno.
UniqueFd ConnectOutside(const IpAddress& address, uint16_t port, int type);

// The kernel talks to an address of its own from that very address. Asked with a datagram socket, so nothing is sent.
bool IsOwnAddress(const IpAddress& address);

// Drops a connection with a reset: its peer sees a failure, not an orderly end.
void Reset(UniqueFd* fd);

uint64_t RandomNumber();

}  // namespace qi
