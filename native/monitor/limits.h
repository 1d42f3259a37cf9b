// The limits on memory and processes while the payload runs: told by the group's files where the kernel holds them,
// found by the watchdog where it does not. Says when the jail has to end. Runs in: monitor.
#pragma once
#include "cgroup/cgroup.h"
#include "monitor/limit_events.h"
#include "monitor/timer.h"
#include "monitor/watchdog.h"

namespace qi {

class Limits {
 public:
  Limits(const Jail& jail, EventWriter* events) : jail_(jail), events_(events) {}

  // `files`: of the jail's group; null without one. `root`, `system_v`: see SharedMemory.
  // `ancestor`: see ProcessTable.
  bool Init(const CgroupFiles* files, int root, int system_v, pid_t ancestor);
  // From here on they are looked at.
  void Start();

  // Sources of the loop; -1: not needed. The first two with EPOLLPRI.
  int memory_events() const { return memory_by_group_ ? files_->memory_events.get() : -1; }
  int process_events() const { return processes_by_group_ ? files_->pids_events.get() : -1; }
  int look_timer() const { return look_timer_.get(); }

  // Kills the jail. Called before anything is written about it: the less it gets the better.
  struct Ender {
    virtual void End(const char* reason) = 0;

   protected:
    ~Ender() = default;
  };
  void OnMemoryEvents();
  void OnProcessEvents(Ender* ender);
  void OnLook(Ender* ender);

  // Once a second at most while it has something to tell, and whenever somebody asks for figures.
  void Tick();
  bool pending() const { return processes_unreported_ > 0; }
  // Everything has ended: what is still to be told.
  void Finish();
  // The kernel ended the jail for its memory.
  bool out_of_memory();

  Watchdog& watchdog() { return watchdog_; }

 private:
  void ReportThreshold(uint64_t value, const char* by);
  bool MayRearm(uint64_t memory) const;
  void AtProcessLimit(uint64_t times, uint64_t value, Ender* ender);
  void ReportProcesses(uint64_t value, const ProcessFacts& who, bool fatal);
  ProcessFacts Biggest();

  const Jail& jail_;
  EventWriter* events_;
  const CgroupFiles* files_ = nullptr;
  bool memory_by_group_ = false;
  bool processes_by_group_ = false;
  bool can_look_ = false;
  UniqueFd look_timer_;
  Watchdog watchdog_;
  bool threshold_armed_ = false;
  uint64_t threshold_told_ns_ = 0;
  uint64_t highs_ = 0;  // as last seen in the group's files, these three
  uint64_t kills_ = 0;
  uint64_t refused_forks_ = 0;
  uint64_t processes_unreported_ = 0;
  uint64_t processes_reported_ns_ = 0;
  bool at_process_limit_ = false;
};

}  // namespace qi
