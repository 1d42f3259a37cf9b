#include "monitor/limits.h"

#include <cstdio>

#include "monitor/kernel_text.h"

namespace qi {
namespace {

constexpr uint64_t kSecondNs = 1000000000;

uint64_t CountOf(const UniqueFd& file, const char* key) {
  char text[512];
  uint64_t count = 0;
  if (ReadAgain(file.get(), text, sizeof(text))) (void)Field(text, key, &count);  // absent: never
  return count;
}

uint64_t Read(const UniqueFd& file) {
  char text[64];
  uint64_t value = 0;
  if (ReadAgain(file.get(), text, sizeof(text))) (void)Number(text, &value);
  return value;
}

// The group's own limit did it. `oom_kill` alone also counts whom the kernel chose when the whole host, or a group
// around this one, had no more.
uint64_t OwnKills(const UniqueFd& memory_events) {
  return CountOf(memory_events, "oom") > 0 ? CountOf(memory_events, "oom_kill") : 0;
}

}  // namespace

bool Limits::Init(const CgroupFiles* files, int root, int system_v, pid_t ancestor) {
  files_ = files;
  memory_by_group_ = jail_.plan->memory_max != 0 && files != nullptr && files->memory_events;
  processes_by_group_ = files != nullptr && files->pids_events;
  threshold_armed_ = jail_.plan->memory_threshold != 0;
  can_look_ = watchdog_.Open(jail_, root, system_v, ancestor);
  bool by_looks = (jail_.plan->memory_max != 0 && !memory_by_group_) || !processes_by_group_;
  if (!by_looks) return true;
  look_timer_ = NewTimer(CLOCK_MONOTONIC);
  return can_look_ && look_timer_;
}

void Limits::Start() {
  if (look_timer_) ArmTimer(look_timer_, 1);
}

ProcessFacts Limits::Biggest() {
  if (files_ != nullptr && can_look_) (void)watchdog_.LookAtTasks();
  pid_t pid = watchdog_.last().biggest;
  return pid != 0 ? watchdog_.table().Facts(pid) : ProcessFacts{};
}

void Limits::ReportThreshold(uint64_t value, const char* by) {
  threshold_armed_ = false;
  threshold_told_ns_ = NowNs();
  ProcessFacts who = Biggest();
  WriteThreshold(events_, {"maxMemory", value, jail_.plan->memory_threshold, "bytes", by, &who, 1, nullptr});
}

void Limits::ReportProcesses(uint64_t value, const ProcessFacts& who, bool fatal) {
  const char* by = processes_by_group_ ? "pids.max" : "RLIMIT_NPROC";
  WriteExceeded(
      events_,
      {"maxProcesses", value, jail_.plan->processes_max, "processes", by, &who, processes_unreported_, nullptr}, fatal);
  processes_reported_ns_ = NowNs();
  processes_unreported_ = 0;
}

void Limits::AtProcessLimit(uint64_t times, uint64_t value, Ender* ender) {
  processes_unreported_ += times;
  bool fatal = jail_.Has(kPlanKillAtProcessLimit);
  if (!fatal && processes_reported_ns_ != 0 && NowNs() - processes_reported_ns_ < kSecondNs) return;
  ProcessFacts who = Biggest();
  if (fatal) ender->End("pids");
  ReportProcesses(value, who, fatal);
}

void Limits::OnMemoryEvents() {
  uint64_t highs = CountOf(files_->memory_events, "high");
  if (highs > highs_ && threshold_armed_) {
    // It has been told: from here on the kernel need not slow the jail down for it.
    (void)!pwrite(files_->memory_high.get(), "max", 3, 0);
    ReportThreshold(Read(files_->memory_current), "memory.high");
  }
  highs_ = highs;
  uint64_t kills = OwnKills(files_->memory_events);
  bool told = kills_ > 0;
  kills_ = kills;
  if (told || kills == 0) return;             // it counts each process of the group that ended at once
  uint64_t peak = Read(files_->memory_peak);  // of the killed nothing else is left to tell
  WriteExceeded(events_, {"maxMemory", peak, jail_.plan->memory_max, "bytes", "memory.max", nullptr, 1, nullptr}, true);
}

void Limits::OnProcessEvents(Ender* ender) {
  uint64_t refused = CountOf(files_->pids_events, "max");
  uint64_t times = refused - refused_forks_;
  refused_forks_ = refused;
  if (times > 0) AtProcessLimit(times, jail_.plan->processes_max, ender);
}

void Limits::OnLook(Ender* ender) {
  DrainTimer(look_timer_);
  bool memory = jail_.plan->memory_max != 0 && !memory_by_group_;
  uint64_t threshold = jail_.plan->memory_threshold;
  const Watchdog::Sight& sight = memory ? watchdog_.Look(threshold) : watchdog_.LookAtTasks();
  ArmTimer(look_timer_, sight.next_ms);
  if (sight.over_memory) {
    ProcessFacts who = Biggest();
    ender->End("memory");
    return WriteExceeded(
        events_, {"maxMemory", sight.memory, jail_.plan->memory_max, "bytes", "watchdog", &who, 1, nullptr}, true);
  }
  if (memory && threshold_armed_ && sight.memory >= threshold) ReportThreshold(sight.memory, "watchdog");
  if (memory && MayRearm(sight.memory)) threshold_armed_ = true;
  if (processes_by_group_) return;
  bool at_limit = sight.tasks >= jail_.plan->processes_max;
  if (at_limit && !at_process_limit_) AtProcessLimit(1, sight.tasks, ender);
  at_process_limit_ = at_limit;
}

// Who goes up and down is told of again, but does not fill the log with it.
bool Limits::MayRearm(uint64_t memory) const {
  uint64_t threshold = jail_.plan->memory_threshold;
  return threshold != 0 && !threshold_armed_ && memory < threshold / 5 * 4 && NowNs() - threshold_told_ns_ >= kSecondNs;
}

void Limits::Tick() {
  if (processes_unreported_ > 0 && NowNs() - processes_reported_ns_ >= kSecondNs)
    ReportProcesses(jail_.plan->processes_max, Biggest(), false);
  if (!memory_by_group_ || !files_->memory_current || !MayRearm(Read(files_->memory_current))) return;
  char text[32];
  int n = snprintf(text, sizeof(text), "%llu", static_cast<unsigned long long>(jail_.plan->memory_threshold));
  threshold_armed_ = pwrite(files_->memory_high.get(), text, static_cast<size_t>(n), 0) == n;
}

void Limits::Finish() {
  if (memory_by_group_) OnMemoryEvents();
  if (processes_unreported_ > 0) ReportProcesses(jail_.plan->processes_max, {}, false);
}

bool Limits::out_of_memory() { return memory_by_group_ && OwnKills(files_->memory_events) > 0; }

}  // namespace qi
