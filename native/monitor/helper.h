// What a process that qi-monitor forks for one purpose does before it works: keep the descriptors it needs, forget the
// plan, say that it is ready. Runs in: gateway, keeper, warden; AwaitReady in monitor.
#pragma once
#include "monitor/channel.h"
#include "monitor/jail.h"

namespace qi {

// It has to outlive qi-monitor, and whatever signal a terminal, a shell or a service manager sends to all of them.
Result Detach(Step step);

// Standard streams are /dev/null; of the others only `count` are kept (sorted here).
Result KeepOnly(Step step, int* fds, size_t count);

// The plan holds the payload's environment: it leaves this process before anything can be asked of it. Unmaps it and
// the trace; `rest` becomes a plan with nothing but the filter and the flags.
Result ForgetPlan(Step step, Jail* jail, Plan* rest, PlanBytes Plan::*filter);

// Says on `channel` that the calling process is confined, or why it is not.
void ReportReady(int channel, const Result& r, StatusType ready = StatusType::kConfined);

// Waits for that word. A `child` that could not get ready is ended and reaped.
Result AwaitReady(int channel, Step step, pid_t child);

}  // namespace qi
