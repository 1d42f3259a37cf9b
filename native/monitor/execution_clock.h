// How long the jail may go on: wall time, or only the time it was not paused. Then the grace between TERM and KILL.
// Runs in: monitor.
#pragma once
#include "monitor/jail.h"
#include "monitor/timer.h"

namespace qi {

class ExecutionClock {
 public:
  // False when there is a limit and no timer for it.
  bool Init(const Jail& jail);
  void Start();

  bool limited() const { return static_cast<bool>(timer_); }
  int fd() const { return timer_.get(); }
  bool in_grace() const { return in_grace_; }

  void OnPause();
  void OnResume();
  // The time is up: what is left is the grace, which passes in a paused jail too.
  void StartGrace(uint32_t grace_ms);
  void Drain() { DrainTimer(timer_); }

 private:
  void ArmRest(uint64_t ms);

  UniqueFd timer_;
  bool running_time_ = false;
  bool paused_ = false;
  bool in_grace_ = false;
  uint64_t ends_ms_ = 0;  // of the monotonic clock, while it runs
  uint64_t rest_ms_ = 0;
};

}  // namespace qi
