// A transient scope of systemd, with qi-monitor in it: the way to a group of one's own where no other was delegated.
// org.freedesktop.systemd1(5). Runs in: monitor.
#pragma once
#include "monitor/jail.h"

namespace qi {

// Asks for it on the plan's bus, waits until systemd has moved this process, and writes where that is in the file
// system (below the plan's cgroupMount) to `path`.
Result EnterScope(const Jail& jail, char* path, size_t size);

// The talk alone: asks on `socket` for the scope `unit` with process `pid`, and waits for systemd's word that its job
// is done.
Result StartScope(const char* socket, const char* unit, pid_t pid, uint64_t timeout_ms);

}  // namespace qi
