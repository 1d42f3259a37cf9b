// One-shot timers of the loop. timerfd_create(2). Runs in: monitor.
#pragma once
#include <sys/timerfd.h>

#include <cstdint>

#include "core/fd.h"

namespace qi {

inline UniqueFd NewTimer(clockid_t clock) { return UniqueFd(timerfd_create(clock, TFD_CLOEXEC | TFD_NONBLOCK)); }

// 0: stops it.
inline void ArmTimer(const UniqueFd& timer, uint64_t milliseconds) {
  itimerspec spec = {};
  spec.it_value.tv_sec = static_cast<time_t>(milliseconds / 1000);
  spec.it_value.tv_nsec = static_cast<long>(milliseconds % 1000) * 1000000;
  (void)timerfd_settime(timer.get(), 0, &spec, nullptr);  // cannot fail with a value in range
}

inline void DrainTimer(const UniqueFd& timer) {
  uint64_t expirations;
  (void)!read(timer.get(), &expirations, sizeof(expirations));  // only clears the readiness
}

}  // namespace qi
