// What qi-monitor and the gateway tell each other, over a seqpacket pair. Both ends are ours, but the gateway reads
// what a hostile program and the network wrote: qi-monitor believes it no more than it must. Runs in: monitor, gateway.
#pragma once
#include <cstdint>

#include "network/address.h"
#include "network/name.h"

namespace qi {

enum class GatewayMessageType : uint32_t {
  kResolved = 1,   // up: `name` was answered with `address`, connectable for `milliseconds`; `trusted`
  kRefusedName,    // up: a query for `name` (type `number`) from the jail's UDP `port` (0: TCP) was refused; `reason`;
                   // `allowed`: it should have been and is let through (permissive)
  kRefusedPacket,  // up: a datagram to `address` `port` was refused; `reason`, `allowed`; `name` when known
  kRefusedHello,   // up: an inspected connection to `name` at `address` `port` was refused; `reason`, `said` = its SNI
                   // or Host
  kAskName,        // up: may `name` be resolved? `number`: what to answer to
  kAnswer,         // down: `number`, `allowed`
  kRules,          // down: a SCM_RIGHTS memfd with rule lines follows; `allowed` = add to the ones there are
};

struct GatewayMessage {
  GatewayMessageType type;
  uint32_t number;
  uint32_t milliseconds;
  uint16_t port;
  uint8_t allowed;
  uint8_t trusted;
  IpAddress address;
  Name name;
  Name said;
  char reason[96];
};

}  // namespace qi
