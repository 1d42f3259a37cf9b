// What every stage of the launch shares. Runs in: monitor, init, payload.
#pragma once
#include <sys/resource.h>

#include <cstdint>
#include <ctime>

#include "core/plan.h"
#include "core/uapi.h"

namespace qi {

constexpr int kOwnFailure = 125;  // exit status of a launch that failed, and of nothing else

// One page shared between qi-monitor, pid 1 and the payload until it execs: when each numbered step began.
struct StepTrace {
  uint64_t began_ns[kStepCount];
};

// Beside pid 1's stand-in one more process of ours that ends a jail without a pid namespace (monitor/warden.h).
inline bool HasWarden(const Plan& plan) {
  return (plan.flags & kPlanWithoutNamespaces) != 0 && (plan.landlock_scope & uapi::kLandlockScopeSignal) != 0;
}

// Processes of ours that are in the jail's cgroup, and do not count as the payload's.
inline uint32_t OwnProcesses(const Plan& plan) { return HasWarden(plan) ? 2 : 1; }

struct Jail {
  PlanBlob blob;
  const Plan* plan = nullptr;
  StepTrace* trace = nullptr;
  bool host_has_ipv6 = false;      // an address of global scope; asked with an allow-list only
  bool in_cgroup = false;          // memory, processes and cpu are limited by a cgroup of its own
  bool counted_by_cgroup = false;  // its processes are: not every host delegates that
  int fault_step = 0;              // only set in the fault-injection build

  bool Has(uint32_t flag) const { return (plan->flags & flag) != 0; }
  const char* Text(const PlanString& s) const { return Str(blob, s); }
};

// RLIMIT_FSIZE of the payload.
inline uint64_t MaxFileSize(const Jail& jail) {
  for (const Rlimit& one : List(jail.blob, jail.plan->rlimits)) {
    if (one.resource == RLIMIT_FSIZE) return one.value;
  }
  return RLIM_INFINITY;
}

inline uint64_t NowNs(clockid_t clock = CLOCK_MONOTONIC) {
  timespec t;
  (void)clock_gettime(clock, &t);  // cannot fail for a clock the kernel has had since 2.6
  return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
}

// Notes that `step` begins. False when a test asked this step to fail.
inline bool Begin(const Jail& jail, Step step) {
  uint32_t number = static_cast<uint32_t>(step);
  if (jail.trace != nullptr && jail.trace->began_ns[number] == 0) jail.trace->began_ns[number] = NowNs();
#ifdef QI_FAULT_INJECTION
  return jail.fault_step != static_cast<int>(number);
#else
  return true;
#endif
}

#define QI_BEGIN(jail, step)                                                \
  do {                                                                      \
    if (!Begin(jail, step)) return Fail(step, ECANCELED, "fault injected"); \
  } while (0)

}  // namespace qi
