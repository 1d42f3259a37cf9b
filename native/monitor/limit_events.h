// Events limit.threshold and limit.exceeded. Runs in: monitor.
#pragma once
#include "monitor/events.h"
#include "monitor/target.h"

namespace qi {

struct LimitEvent {
  const char* limit;  // by its name in the configuration
  uint64_t value;     // 0: not known
  uint64_t limit_value;
  const char* unit;  // bytes, processes, ms
  const char* enforced_by;
  const ProcessFacts* who;  // the biggest process; may be null
  uint64_t repeats;
  const char* signal;  // by name; may be null
};

// The limit is near, and nothing was refused.
void WriteThreshold(EventWriter* events, const LimitEvent& event);

// `fatal`: it ends the jail.
void WriteExceeded(EventWriter* events, const LimitEvent& event, bool fatal);

// What the last event about an exceeded limit said; `limit` is null before any.
struct Reached {
  const char* limit = nullptr;
  uint64_t value = 0;
  const char* enforced_by = "";
};
const Reached& LastReached();

}  // namespace qi
