// The private root: a tmpfs with nothing in it but what the plan grants. Runs in: init.
#pragma once
#include "monitor/grants.h"
#include "monitor/jail.h"

namespace qi {

// Builds the root and enters it; afterwards nothing of the host is reachable but the grants. `grants`: one per mount
// operation, opened by qi-monitor (privileged launch), or null. `*proc` gets a writable view of the jail's proc that no
// path leads to, for the payload's own id maps.
Result BuildRoot(const Jail& jail, Grant* grants, UniqueFd* proc);

// Fails where a standard stream is `denied` or below it. What it has open is on the host's mount of it, where it could
// be opened anew for writing by /proc/self/fd: no write-deny of ours lies there.
Result RefuseStreamsBelow(const char* denied);

}  // namespace qi
