// Giving up what a process could use against the jail, and reading it back. Runs in: monitor, init, payload.
#pragma once
#include "monitor/jail.h"

namespace qi {

// Empties the bounding, ambient, inheritable, permitted and effective sets, then reads each back (capabilities(7)).
// `keep`: bits (1 << CAP_*) that stay permitted and effective where they are.
Result DropCapabilities(const Jail& jail, Step drop_step, Step verify_step, uint64_t keep = 0);

// Locks the securebits so that no later exec or setuid gives capabilities back.
Result LockSecurebits(const Jail& jail, Step step);

Result SetNoNewPrivs(const Jail& jail, Step step);

// Installs `filter`. With `listener`, `*listener` gets the notify descriptor.
Result InstallFilter(const Jail& jail, Step step, const PlanBytes& filter, int* listener);

}  // namespace qi
