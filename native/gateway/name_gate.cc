#include "gateway/name_gate.h"

#include <cstring>

#include "gateway/outside.h"

namespace qi {
namespace {

// `name` is `rest`, a dot and `domain`; it is known to be below that.
bool IsPrefix(const Name& rest, const Name& name, const Name& domain) {
  return name.size == rest.size + 1 + domain.size && memcmp(name.text, rest.text, rest.size) == 0;
}

}  // namespace

NameGate::NameGate(const Rules& rules, const Resolver& resolver)
    : rules_(rules), resolver_(resolver), key_(RandomNumber()) {}

Admission NameGate::Admit(const Name& name, uint64_t now_ms) {
  Admission admission;
  admission.judged = name;
  const Name* below = nullptr;
  Judgement judgement = rules_.JudgeName(name, &below);
  if (judgement.allowed) {
    const char* brake = below == nullptr ? nullptr : Brake(name, *below, now_ms);
    admission.reason = brake == nullptr ? "" : brake;
    if (brake == nullptr) admission.verdict = Admission::Verdict::kAllowed;
    return admission;
  }
  admission.reason = judgement.reason;
  if (judgement.rule != nullptr) return admission;  // denied
  if (AllowedBySearch(name, &admission.judged)) {
    admission.verdict = Admission::Verdict::kAllowed;
    return admission;
  }
  if (judgement.permit) {
    admission.verdict = Admission::Verdict::kAllowed;
    admission.permitted = true;
    return admission;
  }
  if (const Answer* answer = Answered(name, now_ms)) {
    if (answer->allowed) admission.verdict = Admission::Verdict::kAllowed;
    admission.reason = "the host said no";
    return admission;
  }
  if (judgement.ask) admission.verdict = Admission::Verdict::kAsk;
  return admission;
}

// A short name is asked for with each domain of the search list behind it; a rule for the short name means these too.
bool NameGate::AllowedBySearch(const Name& name, Name* judged) const {
  for (size_t i = 0; i < resolver_.search_count; ++i) {
    const Name& domain = resolver_.search[i];
    if (!IsBelow(name, domain)) continue;
    Name rest;
    const Name* below = nullptr;
    if (!ParseName(name.text, static_cast<size_t>(name.size - domain.size - 1), &rest)) continue;
    Judgement judgement = rules_.JudgeName(rest, &below);
    // Spelled out, or `*` (any public host) would let every name through twice and a wildcard lose its brake.
    if (!judgement.allowed || below != nullptr || judgement.rule->kind != Rule::Kind::kExact) continue;
    *judged = rest;
    return true;
  }
  return false;
}

// A resolver library tries a name that it was told does not exist with the search list: the host is not asked about
// these after it refused the name itself.
const NameGate::Answer* NameGate::Answered(const Name& name, uint64_t now_ms) const {
  for (const Answer& answer : answers_) {
    if (answer.until_ms <= now_ms) continue;
    if (answer.name == name) return &answer;
    for (size_t i = 0; i < resolver_.search_count && !answer.allowed; ++i) {
      if (IsBelow(name, resolver_.search[i]) && IsPrefix(answer.name, name, resolver_.search[i])) return &answer;
    }
  }
  return nullptr;
}

bool NameGate::IsDenied(const Name& name) const {
  Judgement judgement = rules_.JudgeName(name);
  return !judgement.allowed && judgement.rule != nullptr;
}

const char* NameGate::Brake(const Name& name, const Name& below, uint64_t now_ms) {
  if (name.size - below.size - 1 > static_cast<int>(kMaxBelow)) return "too long a name below a wildcard";
  uint64_t hash = Hash(name);
  for (uint64_t seen : seen_) {
    if (seen == hash) return nullptr;
  }
  if (refilled_ms_ == 0) refilled_ms_ = now_ms;
  uint64_t refill = (now_ms - refilled_ms_) / kRefillMs;
  refilled_ms_ += refill * kRefillMs;
  tokens_ = refill > kBurst - tokens_ ? kBurst : tokens_ + static_cast<uint32_t>(refill);
  if (tokens_ == 0) return "too many new names below a wildcard";
  --tokens_;
  seen_[next_seen_++ % kSeen] = hash;
  return nullptr;
}

// Keyed, so that a program cannot choose names that pass for one another. FNV-1a's steps, then a finisher.
uint64_t NameGate::Hash(const Name& name) const {
  uint64_t hash = key_;
  for (size_t i = 0; i < name.size; ++i) hash = (hash ^ static_cast<uint8_t>(name.text[i])) * 0x100000001b3u;
  hash = (hash ^ hash >> 32 ^ key_) * 0x9e3779b97f4a7c15u;
  return hash == 0 ? 1 : hash;  // 0 is an empty place
}

void NameGate::Remember(const Name& name, bool allowed, uint64_t now_ms) {
  Answer& answer = answers_[next_answer_++ % kAnswers];
  answer.name = name;
  answer.allowed = allowed;
  answer.until_ms = now_ms + kAskMemoryMs;
}

void NameGate::ForgetAnswers() {
  for (Answer& answer : answers_) answer.until_ms = 0;
}

}  // namespace qi
