#include "monitor/warden.h"

#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/fd.h"
#include "core/try.h"
#include "core/uapi.h"
#include "monitor/descendants.h"
#include "monitor/helper.h"
#include "monitor/private_temp.h"
#include "monitor/privileges.h"
#include "monitor/raw_directory.h"

namespace qi {
namespace {

constexpr Step kStep = Step::kStartWarden;

Result EnterDomain() {
  uapi::LandlockRulesetAttr attr = {0, 0, uapi::kLandlockScopeSignal};
  UniqueFd ruleset(static_cast<int>(syscall(uapi::kLandlockCreateRuleset, &attr, sizeof(attr), 0)));
  if (!ruleset || syscall(uapi::kLandlockRestrictSelf, ruleset.get(), 0) != 0) return Fail(kStep, errno, "landlock");
  // kill(-1) is to be the end of the jail, and never of all that the caller runs: seen to be so before it is used.
  errno = 0;
  if (kill(getppid(), 0) == 0 || errno != EPERM) return Fail(kStep, EPERM, "signals leave the Landlock domain");
  return Ok();
}

// Who ends qi-monitor by its name (pkill, killall) does not mean this one.
void Rename() {
  constexpr char kName[] = "qi-warden";
  (void)prctl(PR_SET_NAME, kName, 0, 0, 0);       // cannot fail
  size_t room = strlen(program_invocation_name);  // the first of our arguments, in place
  memset(program_invocation_name, 0, room);
  snprintf(program_invocation_name, room + 1, "%s", kName);
}

Result Prepare(const Jail& jail, int status, int proc, const UniqueFd& monitor, const UniqueFd& init) {
  if (!monitor || !init) return Fail(kStep, errno, "pidfd_open");
  QI_TRY(Detach(kStep));
  int keep[] = {status, proc, monitor.get(), init.get()};
  QI_TRY(KeepOnly(kStep, keep, 4));
  Rename();
  QI_TRY(DropCapabilities(jail, kStep, kStep));
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Fail(kStep, errno, "dumpable");
  return InstallFilter(jail, kStep, jail.plan->init_filter, nullptr);
}

// Of the domain, but this process.
bool AnyAlive(int proc) {
  UniqueFd dir(openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  RawDirectory names(dir.get());
  while (const char* name = names.Next()) {
    pid_t pid = atoi(name);  // 0: no process
    Kin kin;
    if (pid > 0 && pid != getpid() && kill(pid, 0) == 0 && ReadKin(proc, pid, &kin) && kin.alive) return true;
  }
  return false;
}

// All at once; the waiting is for the folder's sake, to which nobody may write any more.
void EndDomain(int proc) {
  constexpr int kFirstMs = 1, kLongestMs = 20;
  (void)kill(-1, SIGKILL);
  for (int wait_ms = kFirstMs; AnyAlive(proc); wait_ms = wait_ms < kLongestMs ? wait_ms * 2 : kLongestMs)
    (void)poll(nullptr, 0, wait_ms);
}

[[noreturn]] void RunWarden(const Jail& jail, int status, int proc, pid_t parent) {
  UniqueFd monitor(uapi::PidfdOpen(getppid(), 0)), init(uapi::PidfdOpen(parent, 0));
  Result r = Prepare(jail, status, proc, monitor, init);
  ReportReady(status, r, StatusType::kWarden);
  (void)close(status);
  pollfd ends[2] = {{monitor.get(), POLLIN, 0}, {init.get(), POLLIN, 0}};
  if (r.ok()) {
    (void)RetryEintr([&] { return poll(ends, 2, -1); });
    // Without qi-monitor the stand-in ends everything and then itself, unless somebody stopped it.
    (void)kill(parent, SIGCONT);
    (void)RetryEintr([&] { return poll(ends + 1, 1, -1); });
  }
  EndDomain(proc);
  RemoveTemp(jail);
  _exit(r.ok() ? 0 : 125);
}

}  // namespace

Result StartWarden(const Jail& jail, int status, int proc, pid_t* pid) {
  QI_TRY(SetNoNewPrivs(jail, kStep));
  QI_TRY(EnterDomain());
  pid_t self = getpid();
  // A sibling: what the payload may do to its own kin (native/monitor/process_guard.h) it may not do to the warden.
  *pid = static_cast<pid_t>(syscall(SYS_clone, CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (*pid < 0) return Fail(kStep, errno, "clone");
  if (*pid == 0) RunWarden(jail, status, proc, self);
  return Ok();
}

}  // namespace qi
