// The end of a group: what is in it is killed, and it is removed. Runs in: monitor, keeper.
#pragma once

namespace qi {

struct GroupEnd {
  int parent = -1;  // the directory that holds it
  const char* name = "";
  int kill = -1;    // cgroup.kill for writing; -1 before Linux 5.14
  int procs = -1;   // cgroup.procs for reading
  int events = -1;  // cgroup.events
};

// Returns 0 when it is gone, or an errno: ETIMEDOUT when something in it would not die. timeout_ms < 0: waits on.
int EndGroup(const GroupEnd& group, int timeout_ms);

}  // namespace qi
