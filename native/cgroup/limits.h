// Writes the plan's limits into a group, and reads each back. Runs in: monitor.
#pragma once
#include "monitor/jail.h"

namespace qi {

Result WriteLimits(const Jail& jail, int dir);

}  // namespace qi
