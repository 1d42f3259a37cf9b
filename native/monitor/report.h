// What is said of a launch and of its end: to the audit file, to the host, and without one to the person. Runs in:
// monitor.
#pragma once
#include "monitor/foreground.h"

namespace qi {

class Report {
 public:
  Report(const Jail& jail, EventWriter* events, RefusalLog* refusals, const Running* running, Foreground* foreground)
      : jail_(jail), events_(events), refusals_(refusals), running_(running), foreground_(foreground) {}

  // Why there is no cgroup, where the plan can do without.
  void OnNoCgroup(const Result& why) { no_cgroup_ = why; }
  // Makes the text of that event, ahead where there is time to.
  void DraftLaunch();
  Result RecordLaunch();
  void OnStart();
  // Both give the status to exit with.
  int OnFailure(const Result& r);
  int OnExit(const Outcome& outcome, FileLog* files, uint64_t began_ns);

 private:
  JsonWriter& StartLaunch(const char* outcome, const char* severity);
  void RecordExit(const Outcome& outcome, uint64_t file_refusals, uint64_t began_ns);
  void TellExit(const Outcome& outcome, uint64_t file_refusals);
  void TellHost(const Result& r);
  void Trace(JsonWriter* json);
  void Group(JsonWriter* json);
  void FileSize();
  void FlushToHost();

  const Jail& jail_;
  EventWriter* events_;
  RefusalLog* refusals_;
  const Running* running_;
  Foreground* foreground_;
  Result no_cgroup_;
  bool drafted_ = false;
};

}  // namespace qi
