#include "monitor/init.h"

#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "core/try.h"
#include "core/uapi.h"
#include "monitor/channel.h"
#include "monitor/descendants.h"
#include "monitor/environment.h"
#include "monitor/jail_network.h"
#include "monitor/payload.h"
#include "monitor/private_temp.h"
#include "monitor/privileges.h"
#include "monitor/proc_lines.h"
#include "monitor/root.h"
#include "monitor/socket_facts.h"
#include "monitor/warden.h"

namespace qi {
namespace {

// Where pid 1 keeps its channels, so that one close_range covers everything else.
constexpr int kStatusFd = 3;
constexpr int kInitFd = 4;
constexpr int kFactoryFd = 5;  // with an allow-list

constexpr int kMptcp = 262;  // IPPROTO_MPTCP of newer headers

void Report(int status, StatusType type, const Result& r = {}, int fd = -1) {
  StatusMessage message = {};
  message.type = type;
  message.step = r.step;
  message.error = r.error;
  memcpy(message.detail, r.detail, sizeof(message.detail));
  (void)SendMessage(status, &message, sizeof(message), &fd,
                    fd >= 0 ? 1 : 0);  // if qi-monitor is gone, so is the reader
}

// What nothing needs to judge: a connection, which only sends and receives until a connect is let undo it. A datagram
// socket sends anywhere by sendmsg, whose address no filter can read; one that listens takes in who comes.
bool IsConnection(int socket) {
  int family = SocketOption(socket, SOL_SOCKET, SO_DOMAIN), type = SocketOption(socket, SOL_SOCKET, SO_TYPE);
  if (family == AF_UNIX) return type == SOCK_STREAM || type == SOCK_SEQPACKET;
  int protocol = SocketOption(socket, SOL_SOCKET, SO_PROTOCOL);
  sockaddr_storage peer;
  socklen_t size = sizeof(peer);
  bool tcp =
      family == AF_INET || family == AF_INET6 ? protocol == IPPROTO_TCP || protocol == kMptcp : family == AF_VSOCK;
  return tcp && type == SOCK_STREAM && getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

// A directory is a door: openat and fchdir start from it, whatever the root is. So is a socket of the host's network.
Result CheckStandardStreams(const Jail& jail) {
  for (int fd = 0; fd < 3; ++fd) {
    char name[24];
    snprintf(name, sizeof(name), "standard stream %d", fd);
    struct stat st;
    if (fstat(fd, &st) != 0) return Fail(Step::kCloseFds, errno, name);
    if (S_ISDIR(st.st_mode)) return Fail(Step::kCloseFds, EISDIR, name);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_PATH) != 0) return Fail(Step::kCloseFds, EBADF, name);
    if (jail.Has(kPlanShareHostNetwork) || !S_ISSOCK(st.st_mode) || IsConnection(fd)) continue;
    return Fail(Step::kCloseFds, ENOTCONN, name);
  }
  return Ok();
}

Result KeepOnlyChannels(const Jail& jail, int status, int init, int factory) {
  QI_BEGIN(jail, Step::kCloseFds);
  ForgetEnvironment();
  // A folder of the host as a standard stream would be a way past the private root (CVE-2024-21626).
  QI_TRY(CheckStandardStreams(jail));
  // All are above 5 here: 0 to 5 were taken when they were made.
  if (dup3(status, kStatusFd, O_CLOEXEC) < 0 || dup3(init, kInitFd, O_CLOEXEC) < 0) return Fail(Step::kCloseFds, errno);
  if (factory >= 0 && dup3(factory, kFactoryFd, O_CLOEXEC) < 0) return Fail(Step::kCloseFds, errno);
  int last = factory >= 0 ? kFactoryFd : kInitFd;
  if (uapi::CloseRange(static_cast<unsigned>(last) + 1, ~0u, 0) == 0) return Ok();
  if (errno != ENOSYS) return Fail(Step::kCloseFds, errno);
  for (int fd = last + 1; fd < static_cast<int>(sysconf(_SC_OPEN_MAX)); ++fd) (void)close(fd);  // most are not open
  return Ok();
}

Result Await(InitCommand command, InitMessage* message, int* fds, size_t* count) {
  int error = ReceiveMessage(kInitFd, message, sizeof(*message), fds, count);
  if (error != 0) return Fail(Step::kAwaitMaps, error);
  return message->command == command || command == InitCommand::kGo ? Ok() : Fail(Step::kAwaitMaps, EPROTO);
}

// Nobody who descends from here leaves the line: who loses its parent gets this process for one. It does not die with
// qi-monitor, but at the end of the channel to it, when it has ended them all.
Result BecomeAncestor(const Jail& jail) {
  QI_BEGIN(jail, Step::kReapOrphans);
  return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 ? Ok() : Fail(Step::kReapOrphans, errno);
}

Result CheckStreams(const Jail& jail) {
  QI_BEGIN(jail, Step::kDenyPath);
  for (const GuardedName& guarded : List(jail.blob, jail.plan->guarded_names)) {
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", jail.Text(guarded.parent), jail.Text(guarded.name));
    QI_TRY(RefuseStreamsBelow(path));
  }
  return Ok();
}

Result BecomePayloadUser(const Jail& jail) {
  if (jail.Has(kPlanPrivileged)) {
    QI_BEGIN(jail, Step::kBecomePayloadUser);
    const Plan& plan = *jail.plan;
    // The raw calls: there is one thread, and libc's wrappers would signal others. setgroups first, while it is
    // allowed.
    if (syscall(SYS_setgroups, 0, nullptr) != 0) return Fail(Step::kBecomePayloadUser, errno, "setgroups");
    gid_t gid = plan.caller_gid;
    uid_t uid = plan.caller_uid;
    if (syscall(SYS_setresgid, gid, gid, gid) != 0) return Fail(Step::kBecomePayloadUser, errno, "setresgid");
    if (syscall(SYS_setresuid, uid, uid, uid) != 0) return Fail(Step::kBecomePayloadUser, errno, "setresuid");
  }
  QI_BEGIN(jail, Step::kDieWithMonitor);
  // After the change of user, which clears it. PR_SET_PDEATHSIG(2const)
  return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 ? Ok() : Fail(Step::kDieWithMonitor, errno);
}

using Grants = std::unique_ptr<Grant[]>;

Result ReceiveGrants(const Jail& jail, Grants* grants) {
  if (!jail.Has(kPlanPrivileged)) return Ok();
  size_t total = jail.plan->mounts.count;
  grants->reset(new (std::nothrow) Grant[total + 1]);
  if (*grants == nullptr) return Fail(Step::kPassGrants, ENOMEM);
  for (;;) {
    InitMessage message;
    int fds[kGrantsPerMessage];
    size_t count = kGrantsPerMessage;
    QI_TRY(Await(InitCommand::kGo, &message, fds, &count));
    if (message.command == InitCommand::kGo) return Ok();
    if (message.command != InitCommand::kGrants || message.count > kGrantsPerMessage) {
      return Fail(Step::kPassGrants, EPROTO);
    }
    size_t next = 0;
    for (size_t i = 0; i < message.count && message.first + i < total; ++i) {
      Grant& grant = (*grants)[message.first + i];
      grant.absent = message.present[i] == 0;
      if (!grant.absent && next < count) grant.mount.reset(fds[next++]);
    }
  }
}

// Of all groups the jail sees its own, and of that the inside. The line of the v2 hierarchy: "0::PATH", cgroups(7).
Result HideCgroup(const Jail& jail) {
  QI_BEGIN(jail, Step::kHideCgroup);
  if (jail.in_cgroup && unshare(CLONE_NEWCGROUP) != 0) return Fail(Step::kHideCgroup, errno, "unshare");
  ProcLines lines("/proc/self/cgroup");
  while (const char* line = lines.Next()) {
    if (strncmp(line, "0::", 3) == 0 && strcmp(line + 3, "/") != 0) return Fail(Step::kHideCgroup, EPERM, line);
  }
  return Ok();  // without a line, as on a kernel without cgroups, there is nothing to hide
}

Result BuildJail(const Jail& jail, UniqueFd* proc) {
  InitMessage message;
  QI_BEGIN(jail, Step::kAwaitMaps);
  QI_TRY(Await(InitCommand::kMaps, &message, nullptr, nullptr));
  if (jail.Has(kPlanWithoutNamespaces)) {
    QI_TRY(CheckStreams(jail));
    proc->reset(openat(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return *proc ? BecomeAncestor(jail) : Fail(Step::kReapOrphans, errno, "/proc");
  }
  QI_TRY(HideCgroup(jail));
  QI_TRY(BecomePayloadUser(jail));
  QI_BEGIN(jail, Step::kSetHostname);
  const PlanString& hostname = jail.plan->hostname;
  if (sethostname(jail.Text(hostname), hostname.length) != 0) return Fail(Step::kSetHostname, errno);
  QI_TRY(RaiseLoopback(jail));
  QI_TRY(OpenRelays(jail, kInitFd));
  Grants grants;
  QI_TRY(ReceiveGrants(jail, &grants));
  mode_t inherited = umask(0);  // the plan's modes are meant as they are written
  Result built = BuildRoot(jail, grants.get(), proc);
  (void)umask(inherited);  // always succeeds; the payload gets the caller's
  return built;
}

// After the fork: to map the parent's uid 0 in its own namespace the payload's setup must come from a process that
// holds CAP_SETFCAP (kernel commit db2e718a47984b9d71ed890eb2ea36ecf150de18). The payload may exec only when this is
// done too.
Result GiveUpPrivileges(const Jail& jail) {
  QI_TRY(DropCapabilities(jail, Step::kConfineInit, Step::kConfineInit));
  QI_TRY(SetNoNewPrivs(jail, Step::kConfineInit));
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Fail(Step::kConfineInit, errno, "dumpable");
  return Ok();
}

// Where there is no pid namespace that the kernel would end with us: `proc` is open there only.
[[noreturn]] void End(const Jail& jail, int proc, int code) {
  if (proc >= 0) {
    EndDescendants(proc, nullptr, 0);
    RemoveTemp(jail);
  }
  _exit(code);
}

void ForwardSignal(const Jail& jail, int proc, pid_t payload) {
  InitMessage message;
  // qi-monitor closed its end: it died, or wants the end, and so do we, with everything in the jail.
  if (ReceiveMessage(kInitFd, &message, sizeof(message)) != 0) End(jail, proc, 1);
  if (message.command == InitCommand::kEcho) (void)SendMessage(kInitFd, &message, sizeof(message));  // EPIPE: as above
  if (message.command != InitCommand::kSignal) return;
  if (message.group == kEverybody && proc >= 0) {
    (void)SignalDescendants(proc, getpid(), message.signal);
    return;
  }
  pid_t target = message.group == kEverybody ? -1 : message.group != 0 ? -payload : payload;
  (void)kill(target, message.signal);  // ESRCH: it is gone, as its exit will tell
}

// qi-monitor answers nobody any more once it knows: till then what is to be ended could still fork.
void AwaitEnd() {
  InitMessage message;
  while (ReceiveMessage(kInitFd, &message, sizeof(message)) == 0) {
  }
}

// Reaps whatever ended. When the payload did, reports and ends the jail: the kernel kills the rest of the namespace.
void Reap(const Jail& jail, int proc, pid_t payload) {
  for (;;) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    if (pid != payload) continue;
    InitMessage message = {};
    message.command = InitCommand::kExited;
    message.status = status;
    (void)SendMessage(kInitFd, &message, sizeof(message));  // EPIPE: nobody is left to tell
    if (proc >= 0) AwaitEnd();
    End(jail, proc, 0);
  }
}

[[noreturn]] void Watch(const Jail& jail, int proc, pid_t payload, int children, bool factory) {
  pollfd fds[3] = {{kInitFd, POLLIN, 0}, {children, POLLIN, 0}, {factory ? kFactoryFd : -1, POLLIN, 0}};
  for (;;) {
    if (poll(fds, 3, -1) < 0 && errno != EINTR) End(jail, proc, 1);
    if (fds[1].revents != 0) {
      signalfd_siginfo info;
      (void)!read(children, &info, sizeof(info));  // only clears the readiness; waitpid says what happened
      Reap(jail, proc, payload);
    }
    if (fds[0].revents != 0) ForwardSignal(jail, proc, payload);
    if (fds[2].revents != 0) ServeFactory(kFactoryFd);
  }
}

int OpenChildSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

Result StartPayload(const Jail& jail, const UniqueFd& proc, pid_t* payload, int* children) {
  pid_t warden = -1;
  if (HasWarden(*jail.plan)) QI_TRY(StartWarden(jail, kStatusFd, proc.get(), &warden));
  *children = OpenChildSignals();
  if (*children < 0) return Fail(Step::kForkPayload, errno, "signalfd");
  QI_BEGIN(jail, Step::kForkPayload);
  *payload = fork();
  if (*payload < 0) return Fail(Step::kForkPayload, errno);
  if (*payload > 0) return GiveUpPrivileges(jail);
  (void)close(kInitFd);
  if (jail.Has(kPlanAllowListNetwork)) (void)close(kFactoryFd);
  (void)close(*children);
  Report(kStatusFd, StatusType::kFailed, RunPayload(jail, kStatusFd, proc.get(), warden));
  _exit(125);
}

}  // namespace

void RunInit(const Jail& jail, int status, int init, int factory) {
  Result r = KeepOnlyChannels(jail, status, init, factory);
  if (r.ok()) status = kStatusFd;
  UniqueFd proc;
  pid_t payload = -1;
  int children = -1;
  if (r.ok()) r = BuildJail(jail, &proc);
  if (r.ok()) r = StartPayload(jail, proc, &payload, &children);
  // It tells of its opener's namespace, whoever reads it. proc_sysvipc(5)
  bool shares_ipc = jail.Has(kPlanWithoutNamespaces);
  UniqueFd system_v(r.ok() && !shares_ipc ? openat(proc.get(), "sysvipc/shm", O_RDONLY | O_CLOEXEC) : -1);
  if (!shares_ipc) proc.reset();
  for (int fd = 0; fd < 3 && r.ok(); ++fd) (void)close(fd);  // the payload's alone: its end of file must be seen
  if (r.ok()) r = InstallFilter(jail, Step::kConfineInit, jail.plan->init_filter, nullptr);
  if (!r.ok()) {
    Report(status, StatusType::kFailed, r);
    End(jail, proc.get(), 125);
  }
  Report(status, StatusType::kConfined, {}, system_v.get());
  system_v.reset();
  (void)close(status);
  Watch(jail, proc.get(), payload, children, factory >= 0);
}

}  // namespace qi
