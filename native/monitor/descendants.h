// The processes of a jail that has no pid namespace: whoever descends from one process of ours, which as a subreaper
// becomes the parent of all that lose their own (PR_SET_CHILD_SUBREAPER(2const)), so that nobody leaves the line. Only
// while that process lives; and a process that is being forked may be missed by a look. Runs in: monitor, init, warden.
#pragma once
#include <sys/types.h>

#include <cstddef>

namespace qi {

struct Kin {
  pid_t parent = 0;
  pid_t group = 0;
  bool alive = false;  // a first thread that has ended leaves the others running
};
// Of a process or a thread. `proc`: a /proc. False: there is none.
bool ReadKin(int proc, pid_t pid, Kin* kin);

// A process does not descend from itself.
bool DescendsFrom(int proc, pid_t pid, pid_t ancestor);

// Calls `act` for each process that descends from `ancestor`. Returns how many those were.
struct Visitor {
  virtual void Visit(pid_t pid, const Kin& kin) = 0;

 protected:
  ~Visitor() = default;
};
size_t VisitDescendants(int proc, pid_t ancestor, Visitor* visitor);

size_t SignalDescendants(int proc, pid_t ancestor, int signal);

// Kills all descendants of this process but `spare` (and theirs), and waits until the kernel has ended them. Who forks
// and ends faster than it is seen becomes a dead child of ours, and those are only reaped when nobody lives any more:
// till then they count, and RLIMIT_NPROC ends the line. This process must not ignore SIGCHLD.
void EndDescendants(int proc, const pid_t* spare, size_t spare_count);

}  // namespace qi
