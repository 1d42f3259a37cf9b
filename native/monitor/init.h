// Pid 1 of the jail. Runs in: init.
#pragma once
#include "monitor/jail.h"

namespace qi {

// Builds the jail, starts the payload, then reaps, forwards signals and reports until the payload is gone. Does not
// return.
[[noreturn]] void RunInit(const Jail& jail, int status, int init);

}  // namespace qi
