// Starting qi-monitor from a process with many threads. May run in: addon.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "core/fd.h"

namespace qi {

// How standard stream i of the payload comes to be.
inline constexpr int kStreamPipe = -1;  // a new pipe; our end comes back
inline constexpr int kStreamNull = -2;  // /dev/null

struct SpawnRequest {
  const char* monitor = nullptr;  // path of qi-monitor
  const uint8_t* plan = nullptr;
  size_t plan_size = 0;
  int stdio[3] = {kStreamNull, kStreamNull, kStreamNull};  // a descriptor to inherit, or kStreamPipe, kStreamNull
  int audit = -1;
  const char* const* environment = nullptr;  // of qi-monitor itself; the payload's is in the plan
};

struct Spawned {
  pid_t pid = -1;
  UniqueFd pidfd;
  UniqueFd control;
  UniqueFd pipes[3];  // our ends
};

// Copies `size` bytes into a memfd that nobody can change any more. -1 with errno. memfd_create(2)
int SealPlan(const uint8_t* data, size_t size);

// Seals the plan and runs qi-monitor with it: fd 3 the plan, fd 4 the control socket, fd 5 the audit file if any.
// clone(CLONE_VM|CLONE_VFORK): the cost does not grow with the caller's memory. Returns 0 or an errno; `*what` names
// the call.
int SpawnMonitor(const SpawnRequest& request, Spawned* spawned, const char** what);

// Becomes qi-monitor: same process, same standard streams, `argv` as it is to be seen, our environment. Signals that
// come from here on wait for it. Returns only when that failed, with an errno and `*what`, and everything as it was but
// for descriptors above 5, which are close-on-exec now. EBUSY: this process has children, which it would take for its
// own.
int BecomeMonitor(const SpawnRequest& request, char* const* argv, const char** what);

}  // namespace qi
