// What qi-monitor does while the payload runs: waits, and hands each thing that happens to who has to do with it.
// Runs in: monitor.
#pragma once
#include "monitor/control_server.h"
#include "monitor/execution_clock.h"
#include "monitor/host_lines.h"
#include "monitor/launch.h"
#include "monitor/limits.h"
#include "monitor/pauser.h"
#include "monitor/stats.h"

namespace qi {

struct Outcome {
  int wait_status = 0;
  bool known = false;  // pid 1 reported the payload's status
  // exit, signal, memory, pids, time, killed-by-policy, killed (by the host), host-gone. The first that applies.
  const char* reason = "exit";
  Totals totals;
};

class Loop final : private HostCommands, private Limits::Ender {
 public:
  Loop(const Jail& jail, Broker* broker, RefusalLog* log, EventWriter* events, Running* running, ControlServer* control,
       int signals)
      : jail_(jail),
        broker_(broker),
        log_(log),
        events_(events),
        running_(running),
        control_(control),
        signals_(signals),
        host_(jail, broker, events, this),
        limits_(jail, events) {}

  // All that can be done before it is known when the payload starts; Run does it where nobody did. Once.
  bool Prepare();
  // Serves until the payload is gone and with it everything in the jail.
  Outcome Run();

 private:
  bool PrepareLimits();
  void Dispatch(uint32_t source, uint32_t ready);
  void OnSignal();
  void OnChild();
  void StopAll();
  void ContinueAll();
  void SendSignal(int signal, uint32_t group);
  void OnInit();
  void OnTimer();
  void OnDeadline();
  void OnGatewayGone();
  void Stop(const char* reason);
  void Conclude();
  void ArmFlushTimer();
  void WatchControl(bool write);
  const CgroupFiles* group() const { return running_->cgroup.made() ? &running_->cgroup.files() : nullptr; }

  void Kill() override { Stop("killed"); }
  void HostGone() override { Stop("host-gone"); }
  void Signal(int signal, bool group) override;
  void Stats(uint32_t id) override;
  void Pause(uint32_t id) override { pauser_.Pause(id); }
  void Resume(uint32_t id) override { pauser_.Resume(id); }
  void End(const char* reason) override { Stop(reason); }

  const Jail& jail_;
  Broker* broker_;
  RefusalLog* log_;
  EventWriter* events_;
  Running* running_;
  ControlServer* control_;
  int signals_;
  HostLines host_;
  Limits limits_;
  ExecutionClock clock_;
  Pauser pauser_;
  UniqueFd epoll_;
  UniqueFd flush_timer_;
  Outcome outcome_;
  uint64_t began_ns_ = 0;
  bool prepared_ = false;
  bool done_ = false;
  bool stopped_ = false;
  bool flush_armed_ = false;
  bool watching_writes_ = false;
};

}  // namespace qi
