// What qi-monitor does while the payload runs. Runs in: monitor.
#pragma once
#include <sys/signalfd.h>

#include "monitor/launch.h"

namespace qi {

struct Outcome {
  int wait_status = 0;
  bool known = false;           // pid 1 reported the payload's status
  const char* reason = "exit";  // exit, signal, time, host-gone, killed
};

class Loop {
 public:
  Loop(const Jail& jail, Broker* broker, RefusalLog* log, EventWriter* events, Running* running, int signals)
      : jail_(jail), broker_(broker), log_(log), events_(events), running_(running), signals_(signals) {}

  // Serves until the payload is gone and with it everything in the jail.
  Outcome Run();

 private:
  bool Setup();
  void OnSignal();
  void OnHostMessage();
  void OnHostLine(char* line);
  void OnInit();
  void OnTimer();
  void OnDeadline();
  void OnGatewayGone();
  void Forward(int signal, bool group);
  void Stop(const char* reason);
  void OnNetworkLine(char* line);
  void ArmFlushTimer();
  void WatchControl(bool write);

  const Jail& jail_;
  Broker* broker_;
  RefusalLog* log_;
  EventWriter* events_;
  Running* running_;
  int signals_;
  UniqueFd epoll_;
  UniqueFd flush_timer_;
  UniqueFd deadline_;
  Outcome outcome_;
  bool done_ = false;
  bool flush_armed_ = false;
  bool watching_writes_ = false;
  bool out_of_time_ = false;
  // A line of the host's: network rules make it long. Untouched pages cost nothing.
  char line_[1 << 20];
  size_t line_size_ = 0;
};

}  // namespace qi
