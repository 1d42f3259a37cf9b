#include "monitor/stats.h"

#include <unistd.h>

#include <cstdio>

#include "monitor/kernel_text.h"

namespace qi {
namespace {

constexpr size_t kTextBytes = 64 * 1024;  // io.stat has a line for each device
char text[kTextBytes];

bool ReadNumber(const UniqueFd& file, uint64_t* value) {
  return ReadAgain(file.get(), text, sizeof(text)) && Number(text, value);
}

void Put(JsonWriter* json, const char* key, uint64_t value) {
  json->Key(key);
  json->Unsigned(value);
}

void PutFile(JsonWriter* json, const char* key, const UniqueFd& file, uint64_t less = 0) {
  uint64_t value;
  if (ReadNumber(file, &value)) Put(json, key, value > less ? value - less : 0);
}

void PutField(JsonWriter* json, const char* key, const char* field) {
  uint64_t value;
  if (Field(text, field, &value)) Put(json, key, value);
}

void Begin(JsonWriter* json, const char* key) {
  json->Key(key);
  json->Open('{');
}

void PutPressure(JsonWriter* json, const char* key, const UniqueFd& file) {
  Pressure pressure;
  if (!ReadAgain(file.get(), text, sizeof(text)) || !ParsePressure(text, &pressure)) return;
  auto percent = [json](const char* name, uint64_t hundredths) {
    char number[32];
    snprintf(number, sizeof(number), "%u.%02u", static_cast<unsigned>(hundredths / 100),
             static_cast<unsigned>(hundredths % 100));
    json->Key(name);
    json->Raw(number);
  };
  Begin(json, key);
  percent("some10", pressure.some10);
  if (pressure.has_full) percent("full10", pressure.full10);
  json->Close('}');
}

void PutGroup(JsonWriter* json, const StatsOf& of) {
  const CgroupFiles& files = *of.files;
  const Plan& plan = *of.jail.plan;
  Begin(json, "memory");
  PutFile(json, "current", files.memory_current);
  PutFile(json, "peak", files.memory_peak);
  if (plan.memory_max != 0) Put(json, "limit", plan.memory_max);
  json->Close('}');
  Begin(json, "cpu");
  if (ReadAgain(files.cpu_stat.get(), text, sizeof(text))) {
    PutField(json, "usageUs", "usage_usec");
    PutField(json, "userUs", "user_usec");
    PutField(json, "systemUs", "system_usec");
    PutField(json, "throttledUs", "throttled_usec");
    PutField(json, "throttledPeriods", "nr_throttled");
  }
  json->Close('}');
  Begin(json, "processes");
  PutFile(json, "current", files.pids_current, OwnProcesses(plan));
  PutFile(json, "peak", files.pids_peak, OwnProcesses(plan));
  Put(json, "limit", plan.processes_max);
  json->Close('}');
  if (ReadAgain(files.io_stat.get(), text, sizeof(text))) {
    Begin(json, "io");
    Put(json, "readBytes", SumOfDevices(text, "rbytes"));
    Put(json, "writeBytes", SumOfDevices(text, "wbytes"));
    json->Close('}');
  }
  Begin(json, "pressure");
  PutPressure(json, "memory", files.memory_pressure);
  PutPressure(json, "cpu", files.cpu_pressure);
  PutPressure(json, "io", files.io_pressure);
  json->Close('}');
}

void PutWatched(JsonWriter* json, const StatsOf& of) {
  const Plan& plan = *of.jail.plan;
  uint64_t memory = of.watchdog->Measure();
  Begin(json, "memory");
  Put(json, "current", memory);
  Put(json, "peak", of.watchdog->peak());
  if (plan.memory_max != 0) Put(json, "limit", plan.memory_max);
  json->Close('}');
  uint64_t user, system;
  of.watchdog->table().ReadTicks(&user, &system);
  auto us = static_cast<uint64_t>(1000000 / sysconf(_SC_CLK_TCK));
  Begin(json, "cpu");
  Put(json, "usageUs", (user + system) * us);
  Put(json, "userUs", user * us);
  Put(json, "systemUs", system * us);
  json->Close('}');
  Begin(json, "processes");
  Put(json, "current", of.watchdog->last().tasks);
  Put(json, "peak", of.watchdog->peak_tasks());
  Put(json, "limit", plan.processes_max);
  json->Close('}');
}

}  // namespace

void WriteStats(EventWriter* events, uint32_t id, const StatsOf& of) {
  JsonWriter* json = &events->StartMessage("stats");
  Put(json, "id", id);
  json->Pair("backend", of.files != nullptr ? "cgroup" : "watchdog");
  if (of.files != nullptr) json->Pair("cgroup", of.cgroup);
  Put(json, "uptimeMs", of.uptime_ms);
  json->Key("paused");
  json->Bool(of.paused);
  if (of.files != nullptr) {
    PutGroup(json, of);
  } else {
    PutWatched(json, of);
  }
  if (of.jail.Has(kPlanAllowListNetwork)) Put(json, "connections", of.connections);
  Put(json, "refusals", of.refusals);
  events->FinishMessage();
}

Totals TotalsOf(const CgroupFiles* files, const Watchdog& watchdog) {
  Totals totals;
  if (files == nullptr) {
    totals.peak_memory = watchdog.peak();
    return totals;
  }
  (void)ReadNumber(files->memory_peak, &totals.peak_memory);
  if (ReadAgain(files->cpu_stat.get(), text, sizeof(text))) (void)Field(text, "usage_usec", &totals.cpu_us);
  return totals;
}

}  // namespace qi
