// The group in which the jail's is made: opened, and brought to have the controllers that the limits need. Runs in:
// monitor.
#pragma once
#include "core/fd.h"
#include "monitor/jail.h"

namespace qi {

// Opens `path`, which must lie in the cgroup v2 hierarchy below `mount`.
Result OpenGroupParent(const char* mount, const char* path, UniqueFd* dir);

// A group whose children have controllers can hold no processes itself (cgroups(7), "no internal processes"). If only
// qi-monitor and the launcher that asked for it are in there, they go to a leaf; others never are moved. In a scope,
// which is `ours` alone, whatever the host has is enabled, for figures without a limit too.
Result EnableControllers(const Jail& jail, int parent, bool ours);

// Makes the group `name` in there, or finds it, and moves the processes into it. Returns 0 or an errno.
int MoveToLeaf(int parent, const char* name, const pid_t* pids, size_t count);

}  // namespace qi
