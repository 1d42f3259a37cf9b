// Reading a process of the jail while its call waits: bounded copies, taken once, of memory that may lie, change or
// vanish. Runs in: monitor.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "core/fd.h"

namespace qi {

struct ProcessFacts {
  pid_t tid = 0;
  pid_t pid = 0;       // thread group, as qi-monitor's pid namespace numbers it; 0 unknown
  pid_t jail_pid = 0;  // as the jail numbers it; 0 unknown
  unsigned umask = 022;
  char comm[32] = {};
  char command_line[1024] = {};  // arguments joined by spaces, cut
};

// Copies `size` bytes at `address` of thread `tid`. Returns how many could be copied (a page that is not mapped ends
// it).
size_t ReadMemory(pid_t tid, uint64_t address, void* out, size_t size);

// Copies a NUL-terminated string, at most `room` - 1 bytes. -1: not readable, errno says why (EPERM:
// the caller hides its memory); -2: longer than that.
long ReadText(pid_t tid, uint64_t address, char* out, size_t room);

ProcessFacts ReadFacts(pid_t tid);

// The same open file as the thread's descriptor `fd`. pidfd_getfd(2). Not open: errno says why.
UniqueFd Duplicate(pid_t tid, int fd);

// True when a signal waits that would interrupt a call of this thread: neither blocked nor ignored.
bool SignalWaits(pid_t tid);

// Of ReadFacts only what /proc/PID/status says: a third of the cost.
ProcessFacts ReadStatus(pid_t tid);

}  // namespace qi
