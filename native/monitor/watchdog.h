// Limits of a jail without a cgroup: looks at what it takes, as often as its headroom asks for. The kernel does not
// help: between two looks a jail may take more than its limit, as much as it can allocate in that time. Runs in:
// monitor.
#pragma once
#include "monitor/jail.h"
#include "monitor/process_table.h"
#include "monitor/shared_memory.h"

namespace qi {

class Watchdog {
 public:
  // What there is to look at. `root`, `system_v`: see SharedMemory; `ancestor`: ProcessTable.
  bool Open(const Jail& jail, int root, int system_v, pid_t ancestor = 0);

  struct Sight {
    uint64_t memory = 0;  // of the jail: exact enough to say on which side of the levels it is
    uint32_t tasks = 0;
    pid_t biggest = 0;  // as the jail numbers it; 0: none
    bool over_memory = false;
    uint64_t next_ms = 0;  // when to look again
  };
  // `threshold`: memory from which on the caller wants to know; 0: none.
  const Sight& Look(uint64_t threshold);
  // Processes only: what a jail needs that has no memory limit.
  const Sight& LookAtTasks();

  const Sight& last() const { return sight_; }
  uint64_t peak() const { return peak_; }
  uint32_t peak_tasks() const { return peak_tasks_; }
  ProcessTable& table() { return table_; }

  // Measured as near to the truth as it can be, for somebody who asks.
  uint64_t Measure();

 private:
  // Memory that seems to be lent to a child, and so was counted twice; and who is in it.
  struct Doubt {
    uint64_t bytes = 0;
    uint64_t processes = 0;  // the sum of their numbers: another child, another doubt
  };
  uint64_t LookOnce(uint64_t level);
  bool OneIsOver() const;
  uint64_t Refine(uint64_t bound, uint64_t enough, Doubt* doubt);
  void Pair(size_t index);
  bool IsOver(uint64_t bytes, const Doubt& doubt);
  void NoteTasks();

  uint64_t max_ = 0;
  uint32_t tasks_max_ = 0;
  Sight sight_;
  uint64_t peak_ = 0;
  uint32_t peak_tasks_ = 0;
  uint64_t doubt_since_ns_ = 0;
  uint64_t doubted_ = 0;
  // By place in the table, for the look at hand: what of each is in the sum, and who shows the same memory.
  static constexpr size_t kNobody = ~size_t{0};
  uint64_t counted_[ProcessTable::kMax] = {};
  size_t partner_[ProcessTable::kMax] = {};
  uint64_t tasks_ms_ = 0;
  ProcessTable table_;
  SharedMemory shared_;
};

// Milliseconds until the next look: what an allocation at 4 GB/s needs to use up the headroom, and never more than a
// tenth of a processor for looking.
uint64_t NextLook(uint64_t headroom, uint64_t cost_ns);

}  // namespace qi
