// Stopping everything in the jail and letting it go on: by the group's freezer, or by signals that pid 1 sends to all
// the others. Runs in: monitor.
#pragma once
#include "cgroup/cgroup.h"
#include "monitor/events.h"
#include "monitor/execution_clock.h"

namespace qi {

class Pauser {
 public:
  // `files`: of the jail's group; null without one. `channel`: to pid 1.
  bool Init(const CgroupFiles* files, int channel, EventWriter* events, ExecutionClock* clock);

  bool paused() const { return paused_; }
  // Sources of the loop, -1 without a freezer: cgroup.events (EPOLLPRI) and a timer.
  int changes() const { return by_freezer() ? files_->events.get() : -1; }
  int timer() const { return timer_.get(); }

  // Answers with a message `done` of that number, now or when the jail stands still.
  void Pause(uint32_t id);
  void Resume(uint32_t id);
  void OnChange();
  void OnEcho(uint32_t number);
  void OnTimeout();

 private:
  bool by_freezer() const { return files_ != nullptr && files_->freeze && files_->events; }
  bool Freeze(bool on);
  void SignalAll(int signal);
  void AskForEcho();
  void Stands();
  void Answer(uint32_t id, int error);

  const CgroupFiles* files_ = nullptr;
  int channel_ = -1;
  EventWriter* events_ = nullptr;
  ExecutionClock* clock_ = nullptr;
  UniqueFd timer_;
  bool paused_ = false;
  bool pausing_ = false;  // asked for, by request id_
  uint32_t id_ = 0;
  uint32_t echo_ = 0;  // the last that was asked for
};

}  // namespace qi
