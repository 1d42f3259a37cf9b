// The jail's own network namespace: its loopback, and with an allow-list the sockets by which the gateway serves it.
// Runs in: init.
#pragma once
#include "monitor/jail.h"

namespace qi {

Result RaiseLoopback(const Jail& jail);

// Routes every address to the jail's loopback ("AnyIP"), so that what is sent anywhere arrives at the relays, which see
// where it was meant to go. Then opens them, in the order of the plan, and sends them over `channel`.
Result OpenRelays(const Jail& jail, int channel);

// Makes the one socket asked for over `channel`: the payload's sockets are of the host's network until one has to be of
// the jail's, and only a process that lives there can make it.
void ServeFactory(int channel);

}  // namespace qi
