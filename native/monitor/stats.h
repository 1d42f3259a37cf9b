// The jail's figures for the host: message `stats`. What the host's kernel does not tell is left out. Runs in: monitor.
#pragma once
#include "monitor/limits.h"

namespace qi {

struct StatsOf {
  const Jail& jail;
  const CgroupFiles* files;  // null without a group
  const char* cgroup;        // its path
  Watchdog* watchdog;
  uint64_t uptime_ms;
  bool paused;
  uint64_t connections;  // with an allow-list
  uint64_t refusals;
};

void WriteStats(EventWriter* events, uint32_t id, const StatsOf& of);

// For the record of the end. 0: not known.
struct Totals {
  uint64_t peak_memory = 0;  // bytes
  uint64_t cpu_us = 0;
};
Totals TotalsOf(const CgroupFiles* files, const Watchdog& watchdog);

}  // namespace qi
