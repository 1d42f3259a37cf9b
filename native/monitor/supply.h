// What qi-monitor does for pid 1 while that builds the jail: group, id maps, grants that only root can open.
// Runs in: monitor.
#pragma once
#include "monitor/launch.h"

namespace qi {

Result Supply(const Jail& jail, Running& running);

}  // namespace qi
