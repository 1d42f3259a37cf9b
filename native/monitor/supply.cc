#include "monitor/supply.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/try.h"
#include "monitor/channel.h"
#include "monitor/grants.h"

namespace qi {
namespace {

// A /proc of another pid namespace has a stranger under this number, whose maps would be written.
Result CheckProc() {
  char self[16] = {};
  if (readlink("/proc/self", self, sizeof(self) - 1) < 0) return Fail(Step::kMapGroups, errno, "/proc/self");
  return atoi(self) == getpid() ? Ok() : Fail(Step::kMapGroups, ESRCH, "this /proc is of another pid namespace");
}

int WriteProc(pid_t pid, const char* name, const char* text) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
  UniqueFd fd(openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC));
  if (!fd) return errno;
  return WriteAll(fd.get(), text, strlen(text));
}

// The namespace's ids are the caller's, so that the same namespace also id-maps the caller's files to the payload.
Result WriteMaps(const Jail& jail, pid_t pid) {
  const Plan& plan = *jail.plan;
  char map[64];
  QI_BEGIN(jail, Step::kMapGroups);
  QI_TRY(CheckProc());
  // Without privilege a gid map needs setgroups denied first (CVE-2014-8989). With it, pid 1 empties the list instead.
  if (!jail.Has(kPlanPrivileged)) {
    if (int error = WriteProc(pid, "setgroups", "deny")) return Fail(Step::kMapGroups, error, "setgroups");
  }
  snprintf(map, sizeof(map), "%u %u 1\n", plan.caller_gid, plan.gid_outside);
  if (int error = WriteProc(pid, "gid_map", map)) return Fail(Step::kMapGroups, error, "gid_map");
  QI_BEGIN(jail, Step::kMapUsers);
  snprintf(map, sizeof(map), "%u %u 1\n", plan.caller_uid, plan.uid_outside);
  if (int error = WriteProc(pid, "uid_map", map)) return Fail(Step::kMapUsers, error, "uid_map");
  return Ok();
}

class GrantSender {
 public:
  GrantSender(const Jail& jail, int channel) : jail_(jail), channel_(channel) {}

  Result SendAll(int userns) {
    Span<MountOp> ops = List(jail_.blob, jail_.plan->mounts);
    for (size_t i = 0; i < ops.size; ++i) {
      if (count_ == kGrantsPerMessage) QI_TRY(Flush());
      if (count_ == 0 && fd_count_ == 0) message_.first = static_cast<uint32_t>(i);
      message_.present[count_] = 0;
      if (NeedsGrant(ops[i])) {
        Grant grant;
        QI_TRY(OpenGrant(jail_, ops[i], userns, &grant));
        if (!grant.absent) {
          message_.present[count_] = 1;
          fds_[fd_count_++] = grant.mount.release();
        }
      }
      ++count_;
    }
    return Flush();
  }

  ~GrantSender() { CloseAll(); }

 private:
  Result Flush() {
    QI_BEGIN(jail_, Step::kPassGrants);
    message_.command = InitCommand::kGrants;
    message_.count = static_cast<uint32_t>(count_);
    int error = SendMessage(channel_, &message_, sizeof(message_), fds_, fd_count_);
    CloseAll();
    count_ = 0;
    return error == 0 ? Ok() : Fail(Step::kPassGrants, error);
  }
  void CloseAll() {
    while (fd_count_ > 0) (void)close(fds_[--fd_count_]);
  }

  const Jail& jail_;
  int channel_;
  InitMessage message_ = {};
  int fds_[kGrantsPerMessage];
  size_t count_ = 0;
  size_t fd_count_ = 0;
};

// While pid 1 still waits for its maps: once it takes its ids it is undumpable, and this needs CAP_SYS_PTRACE.
Result OpenUserNamespace(pid_t pid, UniqueFd* userns) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
  userns->reset(openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
  return *userns ? Ok() : Fail(Step::kOpenGrant, errno, "user namespace");
}

Result Command(int channel, InitCommand command, Step step) {
  InitMessage message = {};
  message.command = command;
  int error = SendMessage(channel, &message, sizeof(message));
  return error == 0 ? Ok() : Fail(step, error);
}

}  // namespace

Result Supply(const Jail& jail, Running& running) {
  if (jail.in_cgroup) QI_TRY(running.cgroup.Enter(jail, running.init));
  if (!jail.Has(kPlanWithoutNamespaces)) QI_TRY(WriteMaps(jail, running.init));
  bool sends_grants = jail.Has(kPlanPrivileged);
  UniqueFd userns;
  if (sends_grants) QI_TRY(OpenUserNamespace(running.init, &userns));
  QI_TRY(Command(running.channel.get(), InitCommand::kMaps, Step::kAwaitMaps));
  if (!sends_grants) return Ok();
  QI_TRY(GrantSender(jail, running.channel.get()).SendAll(userns.get()));
  return Command(running.channel.get(), InitCommand::kGo, Step::kPassGrants);
}

}  // namespace qi
