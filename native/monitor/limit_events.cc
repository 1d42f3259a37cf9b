#include "monitor/limit_events.h"

namespace qi {
namespace {

Reached reached;

void Write(EventWriter* events, JsonWriter* json, const LimitEvent& event, const char* risk) {
  json->Pair("limit", event.limit);
  auto number = [json](const char* key, uint64_t value) {
    json->Key(key);
    json->Unsigned(value);
  };
  if (event.value != 0) number("value", event.value);
  number("limitValue", event.limit_value);
  json->Pair("unit", event.unit);
  json->Pair("enforcedBy", event.enforced_by);
  if (event.signal != nullptr) json->Pair("signal", event.signal);
  if (event.who != nullptr && event.who->jail_pid != 0) {
    json->Pair("jailPid", event.who->jail_pid);
    json->Pair("comm", event.who->comm);
    json->Pair("commandLine", event.who->command_line);
  }
  number("repeatCount", event.repeats);
  events->Finish(risk);
}

}  // namespace

void WriteThreshold(EventWriter* events, const LimitEvent& event) {
  Write(events, &events->Start("security", "limit.threshold", "success", "warning"), event, "low");
}

void WriteExceeded(EventWriter* events, const LimitEvent& event, bool fatal) {
  reached = {event.limit, event.value, event.enforced_by};
  const char* severity = fatal ? "critical" : "warning";
  Write(events, &events->Start("security", "limit.exceeded", "blocked", severity), event, fatal ? "high" : "medium");
}

const Reached& LastReached() { return reached; }

}  // namespace qi
