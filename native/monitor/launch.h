// From a checked plan to a running payload. Runs in: monitor.
#pragma once
#include "cgroup/cgroup.h"
#include "core/fd.h"
#include "monitor/broker.h"
#include "monitor/jail.h"

namespace qi {

struct Running {
  pid_t init = -1;  // pid 1 of the jail
  UniqueFd init_pidfd;
  UniqueFd channel;  // to pid 1
  pid_t payload = -1;
  pid_t warden = -1;   // without namespaces (monitor/warden.h)
  pid_t gateway = -1;  // dies with qi-monitor, and with the channel to it
  // proc's sysvipc/shm as the jail sees it; not open where the kernel has none.
  UniqueFd system_v;
  uint64_t cpu_us = 0;  // of all that pid 1 reaped, once the jail is destroyed
  Cgroup cgroup;        // where the plan asks for one and it could be had
};

// What has to be done before the payload may exec, so that no hostile byte ever meets a qi-monitor with privileges, nor
// a jail that leaves no record.
struct BeforeExec {
  // What takes its caller's rights, and can be done while pid 1 builds the jail.
  Result (*open)();
  Result (*confine)();
  // With kPlanHeld: returns when the host hands the jail out. `status`: the jail's channel, readable when it has ended.
  Result (*hold)(int status);
  Result (*record)(const Running& running);
};

// Clones the jail and brings it to the payload's exec. On failure nothing of the jail is left running.
Result Launch(const Jail& jail, Broker* broker, Running* running, const BeforeExec& before);

// Kills everything in the jail and waits until the kernel has ended it all.
void Destroy(const Jail& jail, Running* running);

}  // namespace qi
