#include "monitor/report.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>

#include "core/errno_names.h"
#include "core/fd.h"
#include "monitor/limit_events.h"

namespace qi {
namespace {

bool IsSocket(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

}  // namespace

void Report::Trace(JsonWriter* json) {
  if (!jail_.Has(kPlanTraceSteps)) return;
  json->Key("trace");
  json->Open('{');
  for (uint32_t step = 1; step < kStepCount; ++step) {
    if (jail_.trace->began_ns[step] == 0) continue;
    char name[12];
    snprintf(name, sizeof(name), "%u", step);
    json->Key(name);
    json->Unsigned(jail_.trace->began_ns[step]);
  }
  json->Key("end");
  json->Unsigned(NowNs());
  json->Close('}');
}

void Report::Group(JsonWriter* json) {
  if (jail_.in_cgroup) json->Pair("cgroup", running_->cgroup.path());
  if (no_cgroup_.ok()) return;
  char why[280];
  snprintf(why, sizeof(why), "step %u: %s %s", static_cast<unsigned>(no_cgroup_.step), ErrnoName(no_cgroup_.error),
           no_cgroup_.detail);
  json->Pair("noCgroup", why);
}

JsonWriter& Report::StartLaunch(const char* outcome, const char* severity) {
  JsonWriter& json = events_->Start("tool", "jail.launch", outcome, severity);
  json.Members(jail_.Text(jail_.plan->launch_params));
  json.Pair("profile", jail_.Text(jail_.plan->profile_name));
  json.Pair("commandLine", jail_.Text(jail_.plan->command_line));
  return json;
}

void Report::DraftLaunch() {
  JsonWriter& json = StartLaunch("success", "info");
  json.Pair("pid", running_->payload);
  Group(&json);
  drafted_ = true;
}

Result Report::RecordLaunch() {
  QI_BEGIN(jail_, Step::kRecordLaunch);
  if (!drafted_) DraftLaunch();
  errno = 0;
  events_->Finish();
  if (events_->lost() > 0)
    return Fail(Step::kRecordLaunch, errno != 0 ? errno : ENOSPC, "the audit file takes no more");
  // Later the payload could have filled the stream, and who waits for room there supervises nobody.
  if (foreground_->on()) foreground_->OnStart();
  return Ok();
}

void Report::OnStart() {
  JsonWriter& message = events_->StartMessage("started");
  message.Pair("pid", running_->payload);
  message.Pair("init", running_->init);
  Group(&message);
  Trace(&message);
  events_->FinishMessage();
}

void Report::TellHost(const Result& r) {
  JsonWriter& message = events_->StartMessage("failed");
  message.Pair("step", static_cast<int64_t>(r.step));
  message.Pair("errno", r.error);
  message.Pair("detail", r.detail);
  events_->FinishMessage();
}

int Report::OnFailure(const Result& r) {
  // Nobody asked for it after all: that is no launch, and none that failed.
  if (r.step == Step::kAwaitGo && r.error == EPIPE) return kOwnFailure;
  bool told = jail_.plan != nullptr && jail_.Has(kPlanControl);
  if (jail_.plan == nullptr && IsSocket(kControlFd)) {
    // A plan that cannot be read says nothing about the descriptors; a launcher of another version still wants to know.
    events_->Init(jail_, kControlFd, -1);
    TellHost(r);
    told = true;
  }
  if (jail_.plan != nullptr) {
    JsonWriter& json = StartLaunch("error", "error");
    json.Pair("step", static_cast<int64_t>(r.step));
    json.Pair("errno", ErrnoName(r.error));
    json.Pair("detail", r.detail);
    events_->Finish();
    TellHost(r);
  }
  FlushToHost();
  if (foreground_->on()) return foreground_->OnFailure(r);
  if (!told) {
    char text[320];
    int n = snprintf(text, sizeof(text), "qi-monitor: step %u failed: %s %s\n", static_cast<unsigned>(r.step),
                     ErrnoName(r.error), r.detail);
    (void)WriteAll(2, text, static_cast<size_t>(n));  // nowhere else to say it
  }
  return kOwnFailure;
}

void Report::FileSize() {
  WriteExceeded(events_, {"maxFileSize", 0, MaxFileSize(jail_), "bytes", "RLIMIT_FSIZE", nullptr, 1, "SIGXFSZ"}, true);
}

void Report::RecordExit(const Outcome& outcome, uint64_t file_refusals, uint64_t began_ns) {
  int status = outcome.wait_status;
  bool exited = WIFEXITED(status);
  JsonWriter& json =
      events_->Start("tool", "jail.exit", exited && WEXITSTATUS(status) == 0 ? "success" : "failure", "info");
  json.Pair("terminationReason", outcome.reason);
  if (exited) json.Pair("exitCode", WEXITSTATUS(status));
  if (WIFSIGNALED(status)) json.Pair("signal", WTERMSIG(status));
  json.Key("refusals");
  json.Unsigned(refusals_->total());
  json.Key("fileRefusals");
  json.Unsigned(file_refusals);
  if (refusals_->permitted() > 0) json.Pair("permitted", static_cast<int64_t>(refusals_->permitted()));
  json.Pair("executionTimeMs", static_cast<int64_t>((NowNs() - began_ns) / 1000000u));
  if (outcome.totals.peak_memory != 0) json.Pair("peakMemoryBytes", static_cast<int64_t>(outcome.totals.peak_memory));
  if (outcome.totals.cpu_us != 0) json.Pair("cpuTimeUs", static_cast<int64_t>(outcome.totals.cpu_us));
  events_->Finish();
}

void Report::TellExit(const Outcome& outcome, uint64_t file_refusals) {
  int status = outcome.wait_status;
  JsonWriter& message = events_->StartMessage("exit");
  if (WIFEXITED(status)) message.Pair("code", WEXITSTATUS(status));
  if (WIFSIGNALED(status)) message.Pair("signal", WTERMSIG(status));
  message.Pair("reason", outcome.reason);
  message.Key("refusals");
  message.Unsigned(refusals_->total());
  message.Key("fileRefusals");
  message.Unsigned(file_refusals);
  message.Key("permitted");
  message.Unsigned(refusals_->permitted());
  message.Key("lost");
  message.Unsigned(events_->lost());
  events_->FinishMessage();
}

int Report::OnExit(const Outcome& outcome, FileLog* files, uint64_t began_ns) {
  int status = outcome.wait_status;
  int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  refusals_->Flush(true);
  files->Flush(true);
  if (signal == SIGXFSZ) FileSize();
  if (signal == SIGSYS) {
    JsonWriter& json = events_->Start("security", "syscall.killed", "blocked", "critical");
    json.Pair("signal", "SIGSYS");
    events_->Finish("high");
  }
  events_->Gather();
  RecordExit(outcome, files->refused(), began_ns);
  TellExit(outcome, files->refused());
  FlushToHost();
  if (foreground_->on())
    foreground_->OnEnd(
        {&outcome, refusals_->total(), files->refused(), refusals_->permitted(), events_->lost(), events_->tally()});
  return signal != 0 ? 128 + signal : WEXITSTATUS(status);
}

// The host may be slow to read the last lines; they are worth a moment after each that it took, not forever.
void Report::FlushToHost() {
  uint64_t sent = events_->sent();
  for (int i = 0; i < 200 && events_->HasQueue(); ++i) {
    if (!events_->Flush()) return;
    if (events_->sent() != sent) i = 0;
    sent = events_->sent();
    timespec wait = {0, 10 * 1000 * 1000};
    if (events_->HasQueue()) (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, nullptr);
  }
}

}  // namespace qi
