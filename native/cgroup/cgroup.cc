#include "cgroup/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>

#include "cgroup/group_file.h"
#include "cgroup/keeper.h"
#include "cgroup/limits.h"
#include "cgroup/parent.h"
#include "cgroup/scope.h"
#include "core/try.h"

namespace qi {
namespace {

constexpr int kEndMs = 5000;

struct GroupFile {
  UniqueFd CgroupFiles::*fd;
  const char* name;
  int flags;
};
constexpr GroupFile kGroupFiles[] = {
    {&CgroupFiles::memory_current, "memory.current", O_RDONLY},
    {&CgroupFiles::memory_peak, "memory.peak", O_RDONLY},
    {&CgroupFiles::memory_events, "memory.events", O_RDONLY},
    {&CgroupFiles::memory_pressure, "memory.pressure", O_RDONLY},
    {&CgroupFiles::memory_high, "memory.high", O_WRONLY},
    {&CgroupFiles::pids_current, "pids.current", O_RDONLY},
    {&CgroupFiles::pids_peak, "pids.peak", O_RDONLY},
    {&CgroupFiles::pids_events, "pids.events", O_RDONLY},
    {&CgroupFiles::cpu_stat, "cpu.stat", O_RDONLY},
    {&CgroupFiles::cpu_pressure, "cpu.pressure", O_RDONLY},
    {&CgroupFiles::io_stat, "io.stat", O_RDONLY},
    {&CgroupFiles::io_pressure, "io.pressure", O_RDONLY},
    {&CgroupFiles::freeze, "cgroup.freeze", O_WRONLY},
    {&CgroupFiles::kill, "cgroup.kill", O_WRONLY},
    {&CgroupFiles::events, "cgroup.events", O_RDONLY},
};

bool Holds(int dir, pid_t pid) {
  char text[256];
  if (ReadGroupFile(dir, "cgroup.procs", text, sizeof(text)) != 0) return false;
  for (char* line = text; *line != 0; line = NextLine(line)) {
    if (strtol(line, nullptr, 10) == pid) return true;
  }
  return false;
}

}  // namespace

Result Cgroup::Make(const Jail& jail) {
  if (!jail.Has(kPlanCgroupSubtree) && !jail.Has(kPlanCgroupScope)) return Ok();
  Result r = Build(jail);
  if (!r.ok()) Remove();
  return r;
}

Result Cgroup::Build(const Jail& jail) {
  scope_ = jail.Has(kPlanCgroupScope);
  QI_TRY(OpenParent(jail));
  QI_TRY(MakeGroup(jail));
  QI_TRY(WriteLimits(jail, dir_.get()));
  return OpenFiles(jail);
}

Result Cgroup::OpenParent(const Jail& jail) {
  const char* mount = jail.Text(jail.plan->cgroup_mount);
  char path[sizeof(path_)];
  if (scope_) {
    QI_TRY(EnterScope(jail, path, sizeof(path)));
  } else if (snprintf(path, sizeof(path), "%s", jail.Text(jail.plan->cgroup_parent)) >=
             static_cast<int>(sizeof(path))) {
    return Fail(Step::kOpenCgroupParent, ENAMETOOLONG, "cgroupParent");
  }
  QI_BEGIN(jail, Step::kOpenCgroupParent);
  QI_TRY(OpenGroupParent(mount, path, &parent_));
  if (scope_) {
    pid_t self = getpid();
    if (int error = MoveToLeaf(parent_.get(), "supervisor", &self, 1))
      return Fail(Step::kOpenCgroupParent, error, "supervisor");
  }
  QI_TRY(EnableControllers(jail, parent_.get(), scope_));
  const char* below = path + (strcmp(mount, "/") == 0 ? 0 : strlen(mount));
  snprintf(path_, sizeof(path_), "%s", strcmp(below, "/") == 0 ? "" : below);
  return Ok();
}

// Under a name that nobody has. Fails with an errno.
int Cgroup::MakeDirectory() {
  if (scope_) {
    snprintf(name_, sizeof(name_), "jail");
  } else {
    RandomGroupName(name_);
  }
  int made = mkdirat(parent_.get(), name_, 0755);
  if (made == 0) dir_.reset(openat(parent_.get(), name_, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  int error = made != 0 || !dir_ ? errno : 0;
  if (made != 0) name_[0] = 0;  // somebody else's: not to be removed
  if (error != 0 || scope_) return error;
  return LockAndMark(parent_.get(), name_, dir_.get());
}

Result Cgroup::MakeGroup(const Jail& jail) {
  constexpr Step kStep = Step::kMakeCgroup;
  if (!scope_) (void)RemoveStale(parent_.get());  // what it could not remove is the next launch's to try
  QI_BEGIN(jail, kStep);
  int error = EEXIST;
  // The name is taken, or another launch removes what we have only just made (LockAndMark).
  auto again = [&] { return error == EEXIST || error == ENOENT || error == EWOULDBLOCK; };
  for (int attempts = 0; again() && attempts < 16; ++attempts) error = MakeDirectory();
  if (error != 0) return Fail(kStep, error, "make, lock or mark");
  size_t used = strlen(path_);
  if (static_cast<size_t>(snprintf(path_ + used, sizeof(path_) - used, "/%s", name_)) >= sizeof(path_) - used)
    return Fail(kStep, ENAMETOOLONG, "path");
  return Ok();
}

Result Cgroup::OpenFiles(const Jail& jail) {
  constexpr Step kStep = Step::kOpenCgroupFiles;
  QI_BEGIN(jail, kStep);
  for (const GroupFile& file : kGroupFiles) {
    UniqueFd fd(openat(dir_.get(), file.name, file.flags | O_CLOEXEC | O_NOFOLLOW));
    // Not of this kernel, not delegated, or (pressure) switched off.
    if (!fd && errno != ENOENT && errno != EOPNOTSUPP) return Fail(kStep, errno, file.name);
    files_.*file.fd = std::move(fd);
  }
  if (!files_.events) return Fail(kStep, ENOENT, "cgroup.events");
  if (jail.plan->memory_max != 0 && !files_.memory_events) return Fail(kStep, ENOENT, "memory.events");
  procs_.reset(openat(dir_.get(), "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return procs_ ? Ok() : Fail(kStep, errno, "cgroup.procs");
}

Result Cgroup::Enter(const Jail& jail, pid_t pid) {
  constexpr Step kStep = Step::kEnterCgroup;
  QI_BEGIN(jail, kStep);
  if (Holds(dir_.get(), pid)) return Ok();
  char text[16];
  snprintf(text, sizeof(text), "%d", pid);
  if (int error = WriteGroupFile(dir_.get(), "cgroup.procs", text)) return Fail(kStep, error, "cgroup.procs");
  return Holds(dir_.get(), pid) ? Ok() : Fail(kStep, ESRCH, "pid 1 is not in the group");
}

Result Cgroup::StartKeeper(const Jail& jail) {
  bool removes_group = made() && !scope_;
  bool removes_name = jail.Has(kPlanPrivileged) && jail.plan->foreground.count > 0;
  if (removes_group) return qi::StartKeeper(jail, end(), dir_.get(), &keeper_, &keeper_pid_);
  return removes_name ? qi::StartKeeper(jail, {}, -1, &keeper_, &keeper_pid_) : Ok();
}

Result Cgroup::AwaitKeeper() {
  if (!keeper_) return Ok();
  Result r = qi::AwaitKeeper(keeper_.get(), keeper_pid_);
  if (r.ok()) return r;
  keeper_.reset();  // it has ended
  keeper_pid_ = -1;
  return r;
}

bool Cgroup::AlsoRemove(int folder, const char* name) const {
  return keeper_ && TellKeeper(keeper_.get(), folder, name);
}

void Cgroup::BeginRemove() {
  if (keeper_ && !made()) asked_ = AskKeeper(keeper_.get());
}

void Cgroup::Remove() {
  if (keeper_) {
    if (asked_ || AskKeeper(keeper_.get())) AwaitKeeperEnd(keeper_.get(), keeper_pid_);
  } else if (files_.events && !scope_) {
    (void)EndGroup(end(), kEndMs);  // with a mark on it: the next launch removes it
  } else if (name_[0] != 0 && !scope_) {
    (void)unlinkat(parent_.get(), name_, AT_REMOVEDIR);  // nothing was ever in it
  }
  keeper_.reset();
  asked_ = false;
  dir_.reset();
  procs_.reset();
  parent_.reset();
  files_ = {};
  name_[0] = 0;
  path_[0] = 0;
}

}  // namespace qi
