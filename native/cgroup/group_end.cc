#include "cgroup/group_end.h"

#include <fcntl.h>
#include <poll.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "core/fd.h"

namespace qi {
namespace {

constexpr int kTickMs = 20;

// A group that was removed under us answers ENODEV: nothing is in that.
bool Populated(int events) {
  char text[128];
  ssize_t n = RetryEintr([&] { return pread(events, text, sizeof(text) - 1, 0); });
  if (n < 0) return errno != ENODEV;
  text[n] = 0;
  return strstr(text, "populated 0") == nullptr;
}

void KillEach(int procs) {
  char text[4096];
  ssize_t n = RetryEintr([&] { return pread(procs, text, sizeof(text) - 1, 0); });
  if (n <= 0) return;
  text[n] = 0;
  char* line = text;
  while (char* end = strchr(line, '\n')) {  // a cut last line waits for the next look
    // 0 is a process that this pid namespace cannot name, and to kill(2) the caller's own group.
    pid_t pid = static_cast<pid_t>(strtol(line, nullptr, 10));
    if (pid > 1 && pid != getpid()) (void)kill(pid, SIGKILL);  // ESRCH: it ended by itself
    line = end + 1;
  }
}

void KillAll(const GroupEnd& group) {
  if (group.kill >= 0 && RetryEintr([&] { return write(group.kill, "1", 1); }) == 1) return;
  KillEach(group.procs);
}

}  // namespace

int EndGroup(const GroupEnd& group, int timeout_ms) {
  int error = EBUSY;
  for (int waited = 0;; waited += kTickMs) {
    if (!Populated(group.events)) {
      if (unlinkat(group.parent, group.name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
      error = errno;
      if (error != EBUSY) return error;
    } else {
      KillAll(group);
      error = ETIMEDOUT;
    }
    if (timeout_ms >= 0 && waited >= timeout_ms) return error;
    // Wakes when `populated` changes; looked at again anyway, for a fork may have been quicker than the signal.
    pollfd change = {group.events, POLLPRI, 0};
    (void)poll(&change, 1, kTickMs);
  }
}

}  // namespace qi
