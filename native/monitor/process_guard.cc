#include "monitor/process_guard.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <cstring>

#include "monitor/descendants.h"

namespace qi {
namespace {

// Where a call keeps the number it is about; `kind`: the argument that says what that is a number of, -1: a process.
struct ProcessCall {
  const char* name;
  int pid, kind, process, group;  // values of `kind`
  bool signals;
};

constexpr int kIoprioProcess = 1, kIoprioGroup = 2;  // linux/ioprio.h

constexpr ProcessCall kCalls[] = {
    {"kill", 0, -1, 0, 0, true},
    {"tkill", 0, -1, 0, 0, true},
    {"tgkill", 0, -1, 0, 0, true},
    {"rt_sigqueueinfo", 0, -1, 0, 0, true},
    {"rt_tgsigqueueinfo", 0, -1, 0, 0, true},
    {"prlimit64", 0, -1, 0, 0, false},
    {"sched_setparam", 0, -1, 0, 0, false},
    {"sched_setscheduler", 0, -1, 0, 0, false},
    {"sched_setaffinity", 0, -1, 0, 0, false},
    {"sched_setattr", 0, -1, 0, 0, false},
    {"setpriority", 1, 0, PRIO_PROCESS, PRIO_PGRP, false},
    {"ioprio_set", 1, 0, kIoprioProcess, kIoprioGroup, false},
};

class GroupFinder final : public Visitor {
 public:
  explicit GroupFinder(pid_t group) : group_(group) {}
  void Visit(pid_t, const Kin& kin) override { found |= kin.group == group_; }
  bool found = false;

 private:
  pid_t group_;
};

}  // namespace

Result ProcessGuard::Init(pid_t init) {
  init_ = init;
  proc_.reset(openat(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return proc_ ? Ok() : Fail(Step::kOpenJailRoot, errno, "/proc");
}

// A parent that ended between two readings breaks the line for a moment: its children are init's by then.
bool ProcessGuard::IsOfJail(pid_t pid) const {
  return DescendsFrom(proc_.get(), pid, init_) || DescendsFrom(proc_.get(), pid, init_);
}

// A group is of one session, and the payload began one: with one process of the jail in it all are.
bool ProcessGuard::GroupIsOfJail(pid_t group) const {
  GroupFinder finder(group);
  (void)VisitDescendants(proc_.get(), init_, &finder);
  return finder.found;
}

void ProcessGuard::Decide(const seccomp_notif& request, const char* name, Answer* answer) const {
  const ProcessCall* call = nullptr;
  for (const ProcessCall& one : kCalls) {
    if (strcmp(one.name, name) == 0) call = &one;
  }
  answer->Refuse(EPERM, "processes outside of the jail");
  if (call == nullptr) return;
  auto pid = static_cast<pid_t>(request.data.args[call->pid]);
  bool group = false;
  if (call->kind >= 0) {
    auto kind = static_cast<int>(request.data.args[call->kind]);
    group = kind == call->group;
    if (!group && kind != call->process) return;  // all processes of a user
  }
  // To all that may be signalled: here that would be all of the caller's.
  if (call->signals && pid == -1) return;
  bool negative = call->signals && pid < -1 && strcmp(call->name, "kill") == 0;
  bool inside = pid == 0 || (group || negative ? GroupIsOfJail(negative ? -pid : pid) : IsOfJail(pid));
  if (inside) {
    answer->proceed = true;
    return;
  }
  Kin kin;
  if (!group && !negative && !ReadKin(proc_.get(), pid, &kin)) answer->Done(ESRCH);
}

}  // namespace qi
