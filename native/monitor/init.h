// Pid 1 of the jail. Runs in: init.
#pragma once
#include "monitor/jail.h"

namespace qi {

// Builds the jail, starts the payload, then reaps, forwards signals and reports until the payload is gone. Does not
// return. `factory`: channel by which qi-monitor asks for sockets of the jail's network, or -1.
[[noreturn]] void RunInit(const Jail& jail, int status, int init, int factory);

}  // namespace qi
