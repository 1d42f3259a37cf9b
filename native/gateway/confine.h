// What the gateway gives up before it reads the first hostile byte. Runs in: gateway.
#pragma once
#include "monitor/jail.h"

namespace qi {

// As root: the payload's host user, who owns nothing. Then: dies with `parent`, which must still be there.
Result BecomeNobody(const Jail& jail, pid_t parent);

// As many descriptors as the user may have; `*limit` says how many.
Result RaiseDescriptorLimit(size_t* limit);

// No capability, nobody may trace or read it, no file and no program, no abstract socket, no signal to others, TCP to
// `ports` only, and the plan's filter (already copied: the plan is gone).
Result Confine(const Jail& jail, const uint16_t* ports, size_t count, bool landlock_optional);

}  // namespace qi
