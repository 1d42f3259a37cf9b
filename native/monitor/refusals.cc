#include "monitor/refusals.h"

#include <cstring>

#include "core/errno_names.h"
#include "monitor/decode.h"
#include "monitor/target.h"

namespace qi {
namespace {

constexpr uint64_t kWindowNs = 1000000000u;

bool IsUdp(const char* protocol) { return strcmp(protocol, "udp") == 0; }

}  // namespace

void RefusalLog::Add(const Refusal& refusal) {
  ++(refusal.permitted ? permitted_ : total_);
  const seccomp_notif& request = *refusal.request;
  scratch_.Clear();
  scratch_.Open('{');
  DescribeArguments(refusal.syscall, request, &scratch_, refusal.address);
  scratch_.Close('}');
  uint64_t key = Hash(seed_, scratch_.data(), scratch_.size());
  const uint64_t identity[4] = {request.pid, static_cast<uint64_t>(request.data.nr),
                                static_cast<uint64_t>(refusal.error), refusal.permitted};
  key = Hash(key, identity, sizeof(identity));
  key = Hash(key, refusal.protocol, strlen(refusal.protocol));
  if (Counted(key, refusal.permitted)) return;
  // The arguments are in scratch_; keep them while the members around them are written.
  char arguments[kTextBytes / 2];
  size_t size = scratch_.size() < sizeof(arguments) ? scratch_.size() : 0;
  memcpy(arguments, scratch_.data(), size);
  arguments[size] = 0;
  ProcessFacts facts = ReadFacts(static_cast<pid_t>(request.pid));
  scratch_.Clear();
  scratch_.Pair("syscall", refusal.syscall);
  scratch_.Pair("number", request.data.nr);
  scratch_.Key("arguments");
  scratch_.Raw(size > 0 ? arguments : "\"(too long)\"");
  if (refusal.path[0] != 0) scratch_.Pair("path", refusal.path);
  if (refusal.host[0] != 0) scratch_.Pair("host", refusal.host);
  if (refusal.protocol[0] != 0) scratch_.Pair("protocol", refusal.protocol);
  scratch_.Pair("pid", facts.pid);
  scratch_.Pair("tid", facts.tid);
  scratch_.Pair("jailPid", facts.jail_pid);
  scratch_.Pair("comm", facts.comm);
  scratch_.Pair("commandLine", facts.command_line);
  scratch_.Pair("rule", refusal.rule);
  if (refusal.error != 0) {
    scratch_.Pair("verdict", ErrnoName(refusal.error));
    scratch_.Pair("errno", refusal.error);
  }
  Remember(key, refusal.action, refusal.permitted, Tallied(refusal));
}

void RefusalLog::AddNetwork(const NetworkRefusal& refusal) {
  ++(refusal.permitted ? permitted_ : total_);
  scratch_.Clear();
  if (refusal.host[0] != 0) scratch_.Pair("host", refusal.host);
  if (refusal.type != nullptr) scratch_.Pair("recordType", refusal.type);
  if (refusal.address != nullptr) {
    char text[INET6_ADDRSTRLEN];
    FormatAddress(*refusal.address, text);
    scratch_.Pair("address", text);
    scratch_.Pair("port", refusal.port);
    scratch_.Pair("protocol", refusal.protocol);
  }
  if (refusal.said[0] != 0) scratch_.Pair("claimedHost", refusal.said);
  scratch_.Pair("rule", refusal.rule);
  uint64_t key = Hash(Hash(seed_, scratch_.data(), scratch_.size()), refusal.action, strlen(refusal.action));
  key = Hash(key, &refusal.permitted, sizeof(refusal.permitted));
  if (Counted(key, refusal.permitted)) return;
  ProcessFacts facts;
  if (refusal.processes != nullptr && refusal.processes->FindUdp(refusal.from_port, &facts)) {
    scratch_.Pair("jailPid", facts.jail_pid);
    scratch_.Pair("comm", facts.comm);
    scratch_.Pair("commandLine", facts.command_line);
  }
  Remember(key, refusal.action, refusal.permitted, Tallied(refusal));
}

// What was refused, as `qi-jail why` takes it (src/explain/recorded.ts finds the same in an event).
TalliedRefusal* RefusalLog::Tallied(const Refusal& refusal) {
  if (refusal.permitted) return nullptr;  // told as another number
  if (refusal.path[0] != 0) return events_->tally()->OfPath(refusal.action, refusal.path);
  IpAddress ip;
  uint16_t port = 0;
  const Address* address = refusal.address;
  bool is_ip = address != nullptr && FromSockaddr(&address->storage, address->length, &ip, &port);
  bool of_host = strncmp(refusal.action, "network.", 8) == 0 || strncmp(refusal.action, "dns.", 4) == 0;
  if (!of_host || (!is_ip && refusal.host[0] == 0)) return events_->tally()->OfCall(refusal.action, refusal.syscall);
  char text[INET6_ADDRSTRLEN];
  FormatAddress(ip, text);
  const char* host = refusal.host[0] != 0 ? refusal.host : text;
  return events_->tally()->OfHost(refusal.action, host, is_ip ? port : -1, IsUdp(refusal.protocol));
}

TalliedRefusal* RefusalLog::Tallied(const NetworkRefusal& refusal) {
  if (refusal.permitted) return nullptr;
  char text[INET6_ADDRSTRLEN] = "";
  if (refusal.address != nullptr) FormatAddress(*refusal.address, text);
  const char* host = refusal.host[0] != 0 ? refusal.host : text;
  if (host[0] == 0) return nullptr;
  int port = refusal.address != nullptr ? refusal.port : -1;
  return events_->tally()->OfHost(refusal.action, host, port, IsUdp(refusal.protocol));
}

bool RefusalLog::Counted(uint64_t key, bool permitted) {
  for (size_t i = 0; i < used_; ++i) {
    if (kinds_[i].key != key) continue;
    ++kinds_[i].repeats;
    CountRefusals(kinds_[i].tallied, 1);
    return true;
  }
  if (used_ < kKinds) return false;
  ++(permitted ? overflow_permitted_ : overflow_);
  return true;
}

void RefusalLog::Remember(uint64_t key, const char* action, bool permitted, TalliedRefusal* tallied) {
  if (scratch_.size() >= kTextBytes) {
    ++(permitted ? overflow_permitted_ : overflow_);
    return;
  }
  Kind& kind = kinds_[used_];
  memcpy(kind.text, scratch_.data(), scratch_.size());
  kind.text[scratch_.size()] = 0;
  kind.key = key;
  kind.since_ns = NowNs();
  kind.repeats = 0;
  kind.action = action;
  kind.permitted = permitted;
  kind.tallied = tallied;
  CountRefusals(tallied, 1);
  ++used_;
  Write(kind, 1);
}

void RefusalLog::Write(const Kind& kind, uint64_t repeats) {
  JsonWriter& json = events_->Start("security", kind.action, kind.permitted ? "success" : "blocked", "warning");
  json.Members(kind.text);
  if (kind.permitted) json.Pair("wouldBe", "blocked");
  json.Key("repeatCount");
  json.Unsigned(repeats);
  events_->Finish("medium");
}

void RefusalLog::Flush(bool all) {
  uint64_t now = NowNs();
  size_t kept = 0;
  for (size_t i = 0; i < used_; ++i) {
    Kind& kind = kinds_[i];
    if (!all && now - kind.since_ns < kWindowNs) {
      if (kept != i) kinds_[kept] = kind;
      ++kept;
      continue;
    }
    if (kind.repeats > 0) Write(kind, kind.repeats);
  }
  used_ = kept;
  WriteFlood(&overflow_, false);
  WriteFlood(&overflow_permitted_, true);
}

void RefusalLog::WriteFlood(uint64_t* count, bool permitted) {
  if (*count == 0) return;
  JsonWriter& json = events_->Start("security", "syscall.refused", permitted ? "success" : "blocked", "warning");
  json.Pair("syscall", "(various)");
  json.Pair("rule", "flood: more distinct refusals in a second than are told apart");
  if (permitted) json.Pair("wouldBe", "blocked");
  json.Key("repeatCount");
  json.Unsigned(*count);
  events_->Finish("high");
  if (!permitted) CountRefusals(events_->tally()->OfCall("syscall.refused", "(various)"), *count);
  *count = 0;
}

}  // namespace qi
