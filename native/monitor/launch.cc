#include "monitor/launch.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <csignal>

#include "core/try.h"
#include "core/uapi.h"
#include "gateway/gateway.h"
#include "monitor/channel.h"
#include "monitor/init.h"
#include "monitor/private_temp.h"
#include "monitor/supply.h"

namespace qi {
namespace {

uint64_t NamespaceFlags(const Jail& jail) {
  if (jail.Has(kPlanWithoutNamespaces)) return 0;
  uint64_t flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
  // With a group of its own pid 1 does this once it is inside (HideCgroup): the namespace's root is where its maker is.
  if (!jail.in_cgroup) flags |= CLONE_NEWCGROUP;
  return jail.Has(kPlanShareHostNetwork) ? flags : flags | CLONE_NEWNET;
}

// As fork: 0 in the child. clone3(2), or clone(2) where the kernel (before 5.3) or a container's filter has none. Born
// in `group` (-1: none) where the kernel can do that (5.7) and lets us; it is asked afterwards whether it is there.
pid_t CloneJail(uint64_t flags, int group, int* pidfd) {
  uapi::CloneArgs args = {};
  args.flags = flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(pidfd);
  args.exit_signal = SIGCHLD;
  long pid = -1;
  if (group >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(group);
    pid = syscall(uapi::kClone3, &args, sizeof(args));
    args.flags &= ~CLONE_INTO_CGROUP;
    args.cgroup = 0;
  }
  if (pid < 0) pid = syscall(uapi::kClone3, &args, sizeof(args));
  if (pid < 0 && (errno == ENOSYS || errno == EPERM)) {
    pid = syscall(SYS_clone, flags | CLONE_PIDFD | SIGCHLD, nullptr, pidfd, nullptr, nullptr);
  }
  return static_cast<pid_t>(pid);
}

// A jail that ended with a message of ours unread makes its end of file a reset. unix(7)
bool IsGone(int error) { return error == EPIPE || error == ECONNRESET; }

Result TakeListener(const Jail& jail, UniqueFd listener, Broker* broker, const Running& running) {
  QI_BEGIN(jail, Step::kReceiveListener);
  if (!listener || running.payload < 0) return Fail(Step::kReceiveListener, EPROTO);
  return broker->Init(listener.release(), running.payload, running.init);
}

// The exec itself may be a call that is passed up: until the channel says more, it is answered.
void ServeUntil(int channel, Broker* broker) {
  pollfd waits[2] = {{channel, POLLIN, 0}, {broker->listener(), POLLIN, 0}};
  for (;;) {
    if (poll(waits, 2, -1) < 0 && errno != EINTR) return;
    if (waits[0].revents != 0) return;
    if (waits[1].revents != 0 && ((waits[1].revents & POLLIN) == 0 || !broker->Serve())) waits[1].fd = -1;
  }
}

// Without a host qi-monitor is confined as late as it can be: until then it can make room for the command line tool,
// which tells best what went wrong. The payload's filter takes the kernel as long as that.
bool HasNoHost(const Jail& jail) { return jail.plan->foreground.count > 0; }

// Follows the jail's progress until the exec closed the status channel.
Result Follow(const Jail& jail, int status, Broker* broker, Running* running, const BeforeExec& before) {
  bool confined = false;
  bool self_confined = !HasNoHost(jail);
  bool released = false;
  for (;;) {
    StatusMessage message;
    int fd = -1;
    size_t count = 1;
    int sender = 0;
    if (released) ServeUntil(status, broker);
    int error = ReceiveMessage(status, &message, sizeof(message), &fd, &count, &sender);
    UniqueFd received(count == 1 ? fd : -1);
    // The end of file is the exec's, once the payload has taken the word for it: what it left unread makes it a reset.
    if (error == EPIPE && released) return Ok();
    if (IsGone(error)) return Fail(Step::kExec, ESRCH, "the jail ended before the exec");
    if (error != 0) return Fail(Step::kReceiveListener, error);
    switch (message.type) {
      case StatusType::kFailed:
        message.detail[sizeof(message.detail) - 1] = 0;
        return Fail(message.step, message.error, message.detail);
      case StatusType::kPayload:
        running->payload = sender;
        broker->network()->Init(message.network);
        break;
      case StatusType::kFiltering:
        if (!self_confined) QI_TRY(before.confine());
        self_confined = true;
        break;
      case StatusType::kListener:
        if (!self_confined) return Fail(Step::kReceiveListener, EPROTO);
        QI_TRY(TakeListener(jail, std::move(received), broker, *running));
        break;
      case StatusType::kConfined:
        confined = true;
        running->system_v = static_cast<UniqueFd&&>(received);
        break;
      case StatusType::kWarden:
        running->warden = sender;
        break;
    }
    // The payload waits for this until everybody around it is confined, and its root is opened while it surely lives.
    bool guarded = running->warden > 0 || !HasWarden(*jail.plan);
    if (!released && confined && guarded && broker->listener() >= 0) {
      if (jail.Has(kPlanHeld)) QI_TRY(before.hold(status));
      QI_TRY(before.record(*running));
      if (send(status, "", 1, MSG_NOSIGNAL) != 1) return Fail(Step::kReceiveListener, errno);
      released = true;
    }
  }
}

// When pid 1 failed and ended, whatever is done for it fails as well: its own word, sent before, is the cause.
Result FirstCause(int status, const Result& ours) {
  StatusMessage message;
  ssize_t n = recv(status, &message, sizeof(message), MSG_DONTWAIT);
  if (n != static_cast<ssize_t>(sizeof(message)) || message.type != StatusType::kFailed) return ours;
  message.detail[sizeof(message.detail) - 1] = 0;
  return Fail(message.step, message.error, message.detail);
}

// The gateway is forked while qi-monitor may still fork, and confined before the payload's first byte can reach it.
Result StartNetwork(const Jail& jail, Broker* broker, Running* running, UniqueFd factory) {
  QI_BEGIN(jail, Step::kReceiveRelays);
  InitMessage message;
  int fds[kGrantsPerMessage];
  size_t count = kGrantsPerMessage;
  int error = ReceiveMessage(running->channel.get(), &message, sizeof(message), fds, &count);
  if (error != 0) return Fail(Step::kReceiveRelays, error);
  UniqueFd relays[kGrantsPerMessage];
  for (size_t i = 0; i < count; ++i) relays[i].reset(fds[i]);
  if (message.command != InitCommand::kRelays || count != jail.plan->relays.count) {
    return Fail(Step::kReceiveRelays, EPROTO);
  }
  UniqueFd gateway;
  QI_TRY(StartGateway(jail, fds, count, &gateway, &running->gateway));
  return broker->hosts()->Init(static_cast<UniqueFd&&>(gateway), static_cast<UniqueFd&&>(factory));
}

Result Build(const Jail& jail, Broker* broker, Running* running, const BeforeExec& before) {
  QI_BEGIN(jail, Step::kOpenChannels);
  UniqueFd status, status_theirs, channel_theirs, factory, factory_theirs;
  if (!MakeChannel(&status, &status_theirs) || !MakeChannel(&running->channel, &channel_theirs)) {
    return Fail(Step::kOpenChannels, errno);
  }
  bool allow_list = jail.Has(kPlanAllowListNetwork);
  if (allow_list && !MakeChannel(&factory, &factory_theirs)) return Fail(Step::kOpenChannels, errno);
  if (jail.Has(kPlanWithoutNamespaces)) {
    QI_BEGIN(jail, Step::kReapOrphans);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return Fail(Step::kReapOrphans, errno);
  }
  QI_TRY(MakeTemp(jail));
  int pidfd = -1;
  errno = ECANCELED;
  bool begun = Begin(jail, Step::kCloneJail);
  running->init = begun ? CloneJail(NamespaceFlags(jail), running->cgroup.dir(), &pidfd) : -1;
  if (running->init < 0) {
    int error = errno;
    RemoveTemp(jail);
    return Fail(Step::kCloneJail, error);
  }
  if (running->init == 0) RunInit(jail, status_theirs.get(), channel_theirs.get(), factory_theirs.get());
  running->init_pidfd.reset(pidfd);
  // The jail's ends are the jail's alone: their end of file is how its death or exec is seen.
  status_theirs.reset();
  channel_theirs.reset();
  factory_theirs.reset();
  Result supplied = Supply(jail, *running);
  if (supplied.ok() && allow_list) {
    supplied = StartNetwork(jail, broker, running, static_cast<UniqueFd&&>(factory));
  }
  if (!supplied.ok()) return FirstCause(status.get(), supplied);
  QI_TRY(before.open());
  // Now, while pid 1 is busy: what is left to do needs no privilege.
  if (!HasNoHost(jail)) QI_TRY(before.confine());
  return Follow(jail, status.get(), broker, running, before);
}

}  // namespace

Result Launch(const Jail& jail, Broker* broker, Running* running, const BeforeExec& before) {
  Result r = Build(jail, broker, running, before);
  if (!r.ok()) Destroy(jail, running);
  return r;
}

}  // namespace qi
