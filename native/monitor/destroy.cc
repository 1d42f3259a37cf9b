// The end of a jail, or of a launch that failed.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <csignal>

#include "core/uapi.h"
#include "monitor/descendants.h"
#include "monitor/launch.h"
#include "monitor/private_temp.h"

namespace qi {
namespace {

// Pid 1 ends everybody that descends from it at the end of its channel, and would orphan them by its own end. From
// here on nobody is told that it may fork.
void AskInitToEnd(const Running& running) {
  (void)shutdown(running.channel.get(), SHUT_WR);
  (void)kill(running.init, SIGCONT);  // whoever stopped it
}

// What pid 1 left behind when somebody killed it is ours by then (PR_SET_CHILD_SUBREAPER). The warden ends those that
// are forked faster than they are found here, and itself when there are none; it may have been killed, or stopped.
void EndOrphans(const Jail& jail, const Running& running) {
  const pid_t spare[] = {running.gateway, running.cgroup.keeper(), running.warden};
  UniqueFd proc(openat(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EndDescendants(proc.get(), spare, 3);
  // Not reaped, it is nobody else's number.
  if (running.warden > 0 && waitpid(running.warden, nullptr, WNOHANG) == 0) {
    (void)kill(running.warden, SIGKILL);
    (void)RetryEintr([&] { return waitpid(running.warden, nullptr, 0); });
  }
  RemoveTemp(jail);
}

}  // namespace

void Destroy(const Jail& jail, Running* running) {
  if (running->init <= 0) return;
  running->cgroup.BeginRemove();
  bool shares_pids = jail.Has(kPlanWithoutNamespaces);
  if (shares_pids) {
    AskInitToEnd(*running);
  } else if (uapi::PidfdSendSignal(running->init_pidfd.get(), SIGKILL) != 0) {
    (void)kill(running->init, SIGKILL);
  }
  // The last that holds the jail's /proc takes it down, some 0.1 ms: that is to be pid 1, while we wait for its end.
  running->system_v.reset();
  // A pid namespace's init is only reaped once every process of the namespace is. pid_namespaces(7)
  // What it reaped is in its account; what it took along by its own end is not.
  rusage used = {};
  (void)RetryEintr([&] { return wait4(running->init, nullptr, 0, &used); });
  auto us = [](const timeval& t) {
    return static_cast<uint64_t>(t.tv_sec) * 1000000 + static_cast<uint64_t>(t.tv_usec);
  };
  running->cpu_us = us(used.ru_utime) + us(used.ru_stime);
  running->init = -1;
  if (shares_pids) EndOrphans(jail, *running);
}

}  // namespace qi
