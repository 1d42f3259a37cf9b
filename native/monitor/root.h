// The private root: a tmpfs with nothing in it but what the plan grants. Runs in: init.
#pragma once
#include "monitor/grants.h"
#include "monitor/jail.h"

namespace qi {

// Builds the root and enters it; afterwards nothing of the host is reachable but the grants. `grants`: one per mount
// operation, opened by qi-monitor (privileged launch), or null. `*proc` gets a writable view of the jail's proc that no
// path leads to, for the payload's own id maps.
Result BuildRoot(const Jail& jail, Grant* grants, UniqueFd* proc);

}  // namespace qi
