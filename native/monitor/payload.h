// The payload from fork to exec. Runs in: payload.
#pragma once
#include "monitor/jail.h"

namespace qi {

// Applies the layers to the calling process and execs the command. Returns only on failure.
Result RunPayload(const Jail& jail, int status, int proc, pid_t warden);

}  // namespace qi
