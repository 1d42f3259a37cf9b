// A run without a host: qi-monitor took the command line tool's place (BecomeMonitor) and says on standard error what
// that would have said, in sentences that the plan brought along. Runs in: monitor.
#pragma once
#include "monitor/loop.h"

namespace qi {

class Foreground {
 public:
  // Keeps standard error, which is the payload's too, for our own words. `argv`: ours, after the program. False without
  // a descriptor.
  bool Init(const Jail& jail, char* const* argv, RefusalTally* tally);
  bool on() const { return plan_ != nullptr; }

  // From here on the way back to the command line tool is shut.
  void OnConfined();

  // The launch failed, and nothing is left of it. As long as that is possible the command line tool comes back, to
  // tell it with all it knows; else it is told here. Returns the status to exit with.
  int OnFailure(const Result& r);

  void OnStart();

  struct End {
    const Outcome* outcome;
    uint64_t refusals;
    uint64_t file_refusals;
    uint64_t permitted;
    uint64_t lost_events;
    const RefusalTally* tally;
  };
  void OnEnd(const End& end);
  int out() const { return out_.get(); }  // where it says so; -1 without

 private:
  void Retry(const Result& r);
  void TellFailure(const Result& r);
  void TellReason(const Outcome& outcome);
  void TellRefusals(const End& end);
  void TellAsJson(const End& end);
  void Say();
  void SayLine(const char* whole);
  void SayJson();

  const Jail* jail_ = nullptr;
  const ForegroundPlan* plan_ = nullptr;
  char* const* argv_ = nullptr;
  bool confined_ = false;
  UniqueFd out_;
};

}  // namespace qi
