#include "monitor/execution_clock.h"

namespace qi {
namespace {

uint64_t NowMs() { return NowNs() / 1000000; }

}  // namespace

bool ExecutionClock::Init(const Jail& jail) {
  uint64_t limit_ms = jail.plan->wall_clock_ms;
  if (limit_ms == 0) return true;
  running_time_ = jail.Has(kPlanCountRunningTime);
  // CLOCK_BOOTTIME goes on while the machine sleeps: a limit in wall time means wall time.
  timer_ = NewTimer(running_time_ ? CLOCK_MONOTONIC : CLOCK_BOOTTIME);
  rest_ms_ = limit_ms;
  return static_cast<bool>(timer_);
}

void ExecutionClock::Start() {
  if (timer_) ArmRest(rest_ms_);
}

void ExecutionClock::ArmRest(uint64_t ms) {
  ends_ms_ = NowMs() + ms;
  ArmTimer(timer_, ms > 0 ? ms : 1);
}

void ExecutionClock::OnPause() {
  if (!timer_ || !running_time_ || paused_ || in_grace_) return;
  paused_ = true;
  uint64_t now = NowMs();
  rest_ms_ = ends_ms_ > now ? ends_ms_ - now : 0;
  ArmTimer(timer_, 0);
}

void ExecutionClock::OnResume() {
  if (!paused_) return;
  paused_ = false;
  ArmRest(rest_ms_);
}

void ExecutionClock::StartGrace(uint32_t grace_ms) {
  in_grace_ = true;
  ArmRest(grace_ms);
}

}  // namespace qi
