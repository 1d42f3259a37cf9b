// Landlock, on the jail's own root. Runs in: payload.
#pragma once
#include "monitor/jail.h"

namespace qi {

// Restricts the calling process to the plan's rules and to what its standard streams already allow. landlock(7)
Result RestrictWithLandlock(const Jail& jail);

}  // namespace qi
