// How much of qi-monitor's time one look may take: a payload can make paths that are walked for long (links that lead
// to and fro), and limits and signals wait meanwhile. Time of the processor, which other programs' load does not use
// up. Runs in: monitor.
#pragma once
#include "monitor/jail.h"

namespace qi {

class Budget {
 public:
  bool IsSpent() const { return NowNs(CLOCK_THREAD_CPUTIME_ID) - began_ns_ > kNs; }

 private:
  static constexpr uint64_t kNs = 20000000;
  uint64_t began_ns_ = NowNs(CLOCK_THREAD_CPUTIME_ID);
};

}  // namespace qi
