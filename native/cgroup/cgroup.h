// The jail's own group of the cgroup v2 hierarchy: where it comes from, its limits, its counters, its end. cgroups(7),
// and Documentation/admin-guide/cgroup-v2.rst of Linux. Runs in: monitor.
#pragma once
#include <sys/types.h>

#include <cstdint>

#include "cgroup/group_end.h"
#include "cgroup/stale.h"
#include "core/fd.h"
#include "monitor/jail.h"

namespace qi {

// Counters and switches, opened while qi-monitor still has its caller's rights, so that nothing need be opened later.
// Not open where the kernel, or the host's delegation, has no such file: the reader then reports no such figure.
struct CgroupFiles {
  UniqueFd memory_current, memory_peak, memory_events, memory_pressure;
  UniqueFd memory_high;  // for writing
  UniqueFd pids_current, pids_peak, pids_events;
  UniqueFd cpu_stat, cpu_pressure;
  UniqueFd io_stat, io_pressure;
  UniqueFd freeze;  // for writing
  UniqueFd kill;    // for writing; Linux 5.14
  UniqueFd events;  // cgroup.events: `populated`, `frozen`; POLLPRI when it changes
};

class Cgroup {
 public:
  // Makes the group that the plan asks for, with its limits, before the jail is cloned; nothing without CgroupSubtree
  // and CgroupScope. On failure nothing of it is left. Groups of ours that a killed qi-monitor left below the same
  // parent are removed first.
  Result Make(const Jail& jail);

  bool made() const { return static_cast<bool>(dir_); }

  // The directory, for CLONE_INTO_CGROUP.
  int dir() const { return dir_.get(); }

  // Moves a pid 1 that was cloned without CLONE_INTO_CGROUP and waits for its maps; verifies that it is inside.
  Result Enter(const Jail& jail, pid_t pid);

  // Forks the process that removes the group when this one asks for it or has died. Not for a scope, which is systemd's
  // to remove; but for a control socket that root's qi-monitor will have no right to remove.
  Result StartKeeper(const Jail& jail);

  // Returns when it is confined, as it must be before anything of the payload runs. Ok() without one.
  Result AwaitKeeper();

  // Has the keeper remove `name` in `folder` as well. False without a keeper.
  bool AlsoRemove(int folder, const char* name) const;

  // The jail ends now. Without a group the keeper waits for nobody, and can do its part meanwhile.
  void BeginRemove();

  // Kills what is in it, removes it, and waits until it is gone (a few seconds at most). Closes files(). Of a scope
  // systemd removes it after qi-monitor has ended.
  void Remove();

  const CgroupFiles& files() const { return files_; }

  // Host path below the mount, for events and `ps`; empty without a group.
  const char* path() const { return path_; }
  pid_t keeper() const { return keeper_pid_; }  // -1: none

 private:
  Result Build(const Jail& jail);
  Result OpenParent(const Jail& jail);
  Result MakeGroup(const Jail& jail);
  int MakeDirectory();
  Result OpenFiles(const Jail& jail);
  GroupEnd end() const { return {parent_.get(), name_, files_.kill.get(), procs_.get(), files_.events.get()}; }

  UniqueFd parent_;
  UniqueFd dir_;  // locked for as long as the group is in use
  UniqueFd procs_;
  UniqueFd keeper_;
  pid_t keeper_pid_ = -1;
  CgroupFiles files_;
  bool scope_ = false;
  bool asked_ = false;  // the keeper, to end
  char name_[kGroupNameSize] = "";
  char path_[1024] = "";
};

}  // namespace qi
