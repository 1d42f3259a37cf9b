// qi-monitor: reads a sealed plan from fd 3, builds the jail it describes, runs the payload in it and reports what
// happened. fd 4: control socket (optional), fd 5: audit file (optional), fds 0 to 2: the payload's. See
// ARCHITECTURE.md.
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cache/launch.h"
#include "core/plan.h"
#include "core/try.h"
#include "core/uapi.h"
#include "monitor/loop.h"
#include "monitor/namespace_probe.h"
#include "monitor/privileges.h"
#include "monitor/proc_lines.h"
#include "monitor/report.h"

namespace qi {
namespace {

Jail jail;
EventWriter events;
RefusalLog refusals(&events);
Running running;
uint64_t began_ns;
Foreground foreground;
ControlServer control;
Report report(jail, &events, &refusals, &running, &foreground);
Loop* loop;

Result OpenSignals(UniqueFd* signals) {
  QI_BEGIN(jail, Step::kBlockSignals);
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT, SIGCHLD})
    sigaddset(&set, signal);
  sigset_t blocked = set;
  // A payload may set TOSTOP on its terminal, by which our own words there would stop us, in the background. termios(3)
  sigaddset(&blocked, SIGTTOU);
  if (sigprocmask(SIG_SETMASK, &blocked, nullptr) != 0) return Fail(Step::kBlockSignals, errno);
  signals->reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  return *signals ? Ok() : Fail(Step::kBlockSignals, errno, "signalfd");
}

Result OpenControl() {
  QI_TRY(running.cgroup.AwaitKeeper());
  return foreground.on() ? control.Open(jail, &events, running.cgroup) : Ok();
}

// From here on qi-monitor reads what a hostile program wrote: it keeps what its loop needs and nothing else.
Result ConfineMonitor() {
  QI_BEGIN(jail, Step::kConfineMonitor);
  if (foreground.on()) foreground.OnConfined();
  // The payload's standard streams are the payload's alone: the reader at the other end must see their end of file.
  UniqueFd null(openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC));
  for (int fd = 0; fd < 3; ++fd) {
    if (!null || dup2(null.get(), fd) < 0) return Fail(Step::kConfineMonitor, errno, "/dev/null");
  }
  (void)umask(0);  // always succeeds; names made for the payload get the payload's own umask
  if (jail.Has(kPlanPrivileged)) {
    // Acts done for the payload are done as it. setfsuid(2) reports by returning the id before: ask again to verify.
    auto gid = static_cast<unsigned long>(jail.plan->gid_outside),
         uid = static_cast<unsigned long>(jail.plan->uid_outside);
    (void)syscall(SYS_setgroups, 0, nullptr);
    // To get back to the payload's ids from the caller's without a capability. setfsuid(2)
    bool both = jail.plan->unix_sockets.count == 0 ||
                (syscall(SYS_setresgid, -1, -1, gid) == 0 && syscall(SYS_setresuid, -1, -1, uid) == 0);
    if (!both) return Fail(Step::kConfineMonitor, errno, "setresuid");
    (void)syscall(SYS_setfsgid, gid);
    (void)syscall(SYS_setfsuid, uid);
    if (static_cast<unsigned long>(syscall(SYS_setfsuid, -1)) != uid)
      return Fail(Step::kConfineMonitor, EPERM, "setfsuid");
    if (static_cast<unsigned long>(syscall(SYS_setfsgid, -1)) != gid)
      return Fail(Step::kConfineMonitor, EPERM, "setfsgid");
  }
  QI_TRY(DropCapabilities(jail, Step::kConfineMonitor, Step::kConfineMonitor));
  QI_TRY(SetNoNewPrivs(jail, Step::kConfineMonitor));
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Fail(Step::kConfineMonitor, errno, "dumpable");
  return InstallFilter(jail, Step::kConfineMonitor, jail.plan->monitor_filter, nullptr);
}

// A jail of a pool: all of it stands, and nothing of the payload has run. Its time begins when it is handed out.
Result AwaitGo(int status) {
  QI_BEGIN(jail, Step::kAwaitGo);
  if (!loop->Prepare()) return Fail(Step::kAwaitGo, errno, "epoll");
  events.StartMessage("held");
  events.FinishMessage();
  pollfd waits[2] = {{kControlFd, POLLIN, 0}, {status, POLLIN, 0}};
  if (RetryEintr([&] { return poll(waits, 2, -1); }) < 0) return Fail(Step::kAwaitGo, errno);
  if (waits[0].revents == 0) return Fail(Step::kAwaitGo, ESRCH, "the jail ended while it was held");
  report.DraftLaunch();  // the rest of the word may be on its way: the host sends its first letter ahead
  char line[3];
  ssize_t n = recv(kControlFd, line, sizeof(line), MSG_WAITALL);
  if (n != sizeof(line) || memcmp(line, "go\n", sizeof(line)) != 0) return Fail(Step::kAwaitGo, EPIPE);
  began_ns = NowNs();
  return Ok();
}

// Where the plan can do without, it is said that it does.
Result GoWithoutCgroup(const Result& r) {
  running.cgroup.Remove();
  jail.in_cgroup = jail.counted_by_cgroup = false;
  if (!jail.Has(kPlanCgroupOptional)) return r;
  report.OnNoCgroup(r);
  return Ok();
}

Result MakeCgroup() {
  Result r = running.cgroup.Make(jail);
  if (r.ok()) r = running.cgroup.StartKeeper(jail);
  if (!r.ok()) return GoWithoutCgroup(r);
  jail.in_cgroup = running.cgroup.made();
  jail.counted_by_cgroup = jail.in_cgroup && running.cgroup.files().pids_events;
  return r;
}

// Connects that wait hold a descriptor each. The payload's own limit is the plan's.
void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);  // fewer then have room, and the rest get EAGAIN
}

// "20010db8... 02 40 00 80 eth0": address, interface, prefix, scope (0: global), flags, name. proc_net(5)
bool HostHasIpv6() {
  ProcLines lines("/proc/self/net/if_inet6");
  while (const char* line = lines.Next()) {
    unsigned scope;
    char name[32];
    if (sscanf(line, "%*32s %*x %*x %x %*x %31s", &scope, name) == 2 && scope == 0 && strcmp(name, "lo") != 0)
      return true;
  }
  return false;
}

// A pid 1 that cannot be moved into the group has ended: another is cloned, which knows that it has none.
Result LaunchJail(Broker* broker) {
  const BeforeExec before = {OpenControl, ConfineMonitor, AwaitGo,
                             [](const Running&) { return report.RecordLaunch(); }};
  Result r = Launch(jail, broker, &running, before);
  if (r.ok() || r.step != Step::kEnterCgroup || !GoWithoutCgroup(r).ok()) return r;
  return Launch(jail, broker, &running, before);
}

Result Prepare(char* const* argv, Broker* broker, UniqueFd* signals) {
  QI_TRY(ReadPlan(kPlanFd, &jail.blob));
  jail.plan = &PlanOf(jail.blob);
  void* page = mmap(nullptr, sizeof(StepTrace), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return Fail(Step::kOpenChannels, errno, "mmap");
  jail.trace = static_cast<StepTrace*>(page);
  events.Init(jail, jail.Has(kPlanControl) ? kControlFd : -1, jail.Has(kPlanAudit) ? kAuditFd : -1);
  if (!foreground.Init(jail, argv, events.tally())) return Fail(Step::kOpenChannels, errno, "standard error");
  QI_BEGIN(jail, Step::kReadPlan);
  QI_BEGIN(jail, Step::kCheckPlan);
  RaiseDescriptorLimit();
  if (jail.Has(kPlanAllowListNetwork)) jail.host_has_ipv6 = HostHasIpv6();
  QI_TRY(broker->Prepare());
  return OpenSignals(signals);
}

// Descriptors 0 to 5 are spoken for (whatever the launcher left closed), so that none of ours can land on them.
void OccupyLowDescriptors() {
  for (int fd = 0; fd <= kAuditFd; ++fd) {
    if (fcntl(fd, F_GETFD) < 0)
      (void)openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);  // the lowest free one is this one
    if (fd >= kPlanFd) (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
}

// "STEP ERRNO DETAIL", STEP 0 where everything is to be had.
int ReportProbe() {
  Result r = ProbeNamespaces();
  char text[320];
  int n = snprintf(text, sizeof(text), "%u %d %s\n", r.ok() ? 0 : static_cast<unsigned>(r.step), r.error, r.detail);
  return WriteAll(1, text, static_cast<size_t>(n)) == 0 ? 0 : kOwnFailure;
}

// What it still holds of the jail goes before the host hears of the exit: a tmpfs and a /proc that go with their last
// holder take the kernel some 0.1 ms, and who hears of the exit waits for nothing then but the end of this process.
void LetGo() {
  constexpr int kMostAreBelow = 32;
  for (int fd = kAuditFd + 1; fd < kMostAreBelow; ++fd) {
    if (fd != foreground.out()) (void)close(fd);
  }
}

int Main(char* const* argv) {
  began_ns = NowNs();
#ifdef QI_FAULT_INJECTION
  if (const char* step = getenv("QI_FAULT_STEP")) jail.fault_step = atoi(step);
#endif
  OccupyLowDescriptors();
  (void)signal(SIGCHLD, SIG_DFL);  // ignored by whoever started us, our children would leave no status
  (void)signal(SIGPIPE,
               SIG_IGN);  // an audit pipe without a reader is an error to count; the payload gets the default back
  UniqueFd signals;
  static Broker broker(jail, &refusals, &events);
  Result r = Prepare(argv, &broker, &signals);
  static Loop only_loop(jail, &broker, &refusals, &events, &running, &control, signals.get());
  loop = &only_loop;
  if (r.ok()) r = MakeCgroup();
  if (r.ok()) r = LaunchJail(&broker);
  if (!r.ok()) {
    running.cgroup.Remove();
    control.Close();
    return report.OnFailure(r);
  }
  report.OnStart();
  Outcome outcome = loop->Run();
  control.Close();
  running.cgroup.Remove();  // who hears of the exit may count on that nothing is left
  LetGo();
  return report.OnExit(outcome, broker.files(), began_ns);
}

}  // namespace
}  // namespace qi

// _exit: nothing is buffered, and the filter has no room for what exit handlers might do.
int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "--probe-namespaces") == 0) _exit(qi::ReportProbe());
  // qi-monitor --launch ROOT -- ARGS, by bin/qi-jail.
  bool by_name = argc >= 4 && strcmp(argv[1], "--launch") == 0;
  if (by_name && !qi::TakeKeptPlan(argv[2], argv + 4)) _exit(qi::BecomeTool(argv[2], argv + 4));
  _exit(qi::Main(argv + (by_name ? 4 : argc > 0 ? 1 : 0)));
}
