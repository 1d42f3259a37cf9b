// The gateway: a process of its own in the host's network namespace that answers the jail's DNS, relays its listed
// datagrams and inspects what it says to hosts marked for that. It reads hostile bytes from both sides, so it holds
// nothing: no file, no capability, no memory of the launch. Started in: monitor. Runs in: gateway.
#pragma once
#include <sys/types.h>

#include "core/fd.h"
#include "monitor/jail.h"

namespace qi {

// Forks the gateway and waits until it is confined. `sockets`: of pid 1, in the order of the plan's relays; they stay
// the caller's, which should close them. `channel`: see native/network/gateway_messages.h; its end of file is the
// gateway's end. On failure nothing is left running.
Result StartGateway(const Jail& jail, const int* sockets, size_t count, UniqueFd* channel, pid_t* pid = nullptr);

}  // namespace qi
