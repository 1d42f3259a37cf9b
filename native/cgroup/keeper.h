// The process that removes a jail's group, and the name of its control socket, when qi-monitor, which by then has no
// right to, asks for it or is gone. Runs in: keeper; the functions in monitor.
#pragma once
#include "cgroup/group_end.h"
#include "core/fd.h"
#include "monitor/jail.h"

namespace qi {

// Forks it. It holds `group`'s descriptors and `lock`, the locked directory, and nothing else (without a group nothing,
// until it is told of a name). It may do nothing for anybody before AwaitKeeper has returned.
Result StartKeeper(const Jail& jail, const GroupEnd& group, int lock, UniqueFd* channel, pid_t* pid);

// Returns when it is confined, which takes it as long as qi-monitor needs to clone the jail.
Result AwaitKeeper(int channel, pid_t pid);

// It shall remove `name` in `folder` too, once nobody is left in the group: a socket, NAME.sock, in a folder that is
// the keeper's user's alone (mode 0700). It leaves anything else. Once only: a second name is the end. False: it cannot
// be told.
bool TellKeeper(int channel, int folder, const char* name);

// Asks for the end. False: it is gone.
bool AskKeeper(int channel);

// After that: waits, for a few seconds at most, until the group is gone. A keeper that something killed leaves that to
// the next launch.
void AwaitKeeperEnd(int channel, pid_t pid);

}  // namespace qi
