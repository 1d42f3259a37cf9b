#include "monitor/file_log.h"

#include <cstdlib>
#include <cstring>

#include "core/errno_names.h"
#include "monitor/decode.h"
#include "monitor/target.h"

namespace qi {
namespace {

constexpr uint64_t kWindowNs = 1000000000u;

uint64_t KeyOf(uint64_t key, const FileEvent& event) {
  for (const char* text : {event.syscall, event.action, event.access, event.path, event.to, event.rule}) {
    key = Hash(key, text, strlen(text) + 1);
  }
  const uint64_t rest[3] = {event.request->pid, static_cast<uint64_t>(event.error), event.would_be};
  return Hash(key, rest, sizeof(rest));
}

}  // namespace

FileLog::~FileLog() {
  for (size_t i = 0; slots_ != nullptr && i < kSlots; ++i) free(slots_[i].text);
  free(slots_);
}

// The place of `key`, or a free one for it; null when all are taken.
FileLog::Kind* FileLog::Slot(uint64_t key) {
  if (slots_ == nullptr) slots_ = static_cast<Kind*>(calloc(kSlots, sizeof(Kind)));
  if (slots_ == nullptr) return nullptr;
  for (size_t i = 0; i < kSlots; ++i) {
    Kind* kind = &slots_[(key + i) % kSlots];
    if (kind->action == nullptr) return used_ < kKinds ? kind : nullptr;
    if (kind->key == key) return kind;
  }
  return nullptr;
}

bool FileLog::MayTell(Outcome outcome) {
  if (outcome != kBlocked) return true;
  uint64_t now = NowNs();
  uint64_t earned = (now - budget_since_ns_) / (kWindowNs / kRefusalsPerSecond);
  if (budget_since_ns_ == 0 || earned > 0) {
    budget_ = budget_ + earned < kBurst ? budget_ + earned : kBurst;
    budget_since_ns_ = now;
  }
  if (budget_ == 0) return false;
  --budget_;
  return true;
}

void FileLog::Add(const FileEvent& event) {
  Outcome outcome = event.would_be ? kWouldBe : event.error != 0 ? kBlocked : kDone;
  bool routine = outcome == kBlocked && RefusalTally::IsRoutine(event.action, event.path);
  if (outcome == kBlocked) ++refused_;
  if (routine) events_->tally()->CountRoutine();
  uint64_t key = KeyOf(seed_, event);
  Kind* kind = Slot(key);
  if (kind != nullptr && kind->action != nullptr) {
    ++kind->repeats;
    CountRefusals(kind->tallied, 1);
    return;
  }
  if (kind == nullptr || !MayTell(outcome)) {
    ++overflow_;
    return;
  }
  Describe(event);
  size_t size = scratch_.size();
  char* text = text_bytes_ + size < kTextBytes ? static_cast<char*>(malloc(size + 1)) : nullptr;
  if (text == nullptr || scratch_.overflow()) {
    free(text);
    ++overflow_;
    return;
  }
  memcpy(text, scratch_.data(), size);
  text[size] = 0;
  text_bytes_ += size;
  TalliedRefusal* tallied =
      outcome == kBlocked && !routine ? events_->tally()->OfPath(event.action, event.path) : nullptr;
  CountRefusals(tallied, 1);
  *kind = {key, NowNs(), 0, event.action, text, outcome, tallied};
  ++used_;
  Write(*kind, text, 1);
}

void FileLog::Describe(const FileEvent& event) {
  const seccomp_notif& request = *event.request;
  ProcessFacts facts = ReadFacts(static_cast<pid_t>(request.pid));
  scratch_.Clear();
  scratch_.Pair("syscall", event.syscall);
  scratch_.Pair("number", request.data.nr);
  scratch_.Pair("path", event.path);
  if (event.to[0] != 0) scratch_.Pair("to", event.to);
  scratch_.Key("arguments");
  scratch_.Open('{');
  DescribeArguments(event.syscall, request, &scratch_);
  scratch_.Close('}');
  scratch_.Pair("access", event.access);
  scratch_.Pair("rule", event.rule);
  if (event.would_be) scratch_.Pair("wouldBe", "blocked");
  if (event.is_barred) scratch_.Pair("existence", "unknown");
  if (event.error != 0) {
    scratch_.Pair("verdict", ErrnoName(event.error));
    scratch_.Pair("errno", event.error);
  }
  scratch_.Pair("pid", facts.pid);
  scratch_.Pair("tid", facts.tid);
  scratch_.Pair("jailPid", facts.jail_pid);
  scratch_.Pair("comm", facts.comm);
  scratch_.Pair("commandLine", facts.command_line);
}

void FileLog::Write(const Kind& kind, const char* members, uint64_t repeats) {
  JsonWriter& json = events_->Start("data", kind.action, kind.outcome == kBlocked ? "blocked" : "success",
                                    kind.outcome == kDone ? "info" : "warning");
  json.Members(members);
  json.Key("repeatCount");
  json.Unsigned(repeats);
  events_->Finish(kind.outcome == kDone ? nullptr : "medium");
}

void FileLog::WriteTotal() {
  JsonWriter& json = events_->Start("data", "file.various", "blocked", "warning");
  json.Pair("syscall", "(various)");
  json.Pair("rule", "flood: more distinct files in a second than are told apart");
  json.Key("repeatCount");
  json.Unsigned(overflow_);
  events_->Finish("high");
  CountRefusals(events_->tally()->OfCall("file.various", "(various)"), overflow_);
  overflow_ = 0;
}

void FileLog::Flush(bool all) {
  uint64_t now = NowNs();
  if (overflow_ > 0) WriteTotal();
  if (used_ == 0) return;
  // Places are found by probing, so what stays is put in anew.
  Kind* old = slots_;
  slots_ = nullptr;
  used_ = 0;
  text_bytes_ = 0;
  for (size_t i = 0; i < kSlots; ++i) {
    if (old[i].action == nullptr) continue;
    bool due = all || now - old[i].since_ns >= kWindowNs;
    Kind* place = due ? nullptr : Slot(old[i].key);
    if (place != nullptr) {
      *place = old[i];
      ++used_;
      text_bytes_ += strlen(old[i].text);
      continue;
    }
    if (old[i].repeats > 0) Write(old[i], old[i].text, old[i].repeats);
    free(old[i].text);
  }
  free(old);
}

}  // namespace qi
