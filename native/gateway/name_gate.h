// Which names may be resolved: the rules, the resolver's search list, what the host was asked, and a brake on names
// that only a wildcard allows, for the labels below a domain that somebody owns are a way to carry data to him. Runs
// in: gateway.
#pragma once
#include "gateway/resolver.h"
#include "network/rules.h"

namespace qi {

struct Admission {
  enum class Verdict : uint8_t { kAllowed, kRefused, kAsk };
  Verdict verdict = Verdict::kRefused;
  const char* reason = "";  // a literal
  bool permitted = false;   // allowed although `reason` is against it: to be recorded
  Name judged;              // the name that the rules know: what the records are kept under
};

class NameGate {
 public:
  static constexpr size_t kMaxBelow = 100;  // characters below a wildcard's domain
  static constexpr uint32_t kBurst = 60;    // new names below wildcards at once
  static constexpr uint64_t kRefillMs = 1000;
  static constexpr uint64_t kAskMemoryMs = 30 * 1000;

  NameGate(const Rules& rules, const Resolver& resolver);

  Admission Admit(const Name& name, uint64_t now_ms);

  // An alias on the way to an allowed name may have any name that is not denied.
  bool IsDenied(const Name& name) const;

  // What the host said of `name` holds for a moment: one lookup of a program is several queries.
  void Remember(const Name& name, bool allowed, uint64_t now_ms);
  void ForgetAnswers();

 private:
  static constexpr size_t kSeen = 1024;
  static constexpr size_t kAnswers = 64;

  struct Answer {
    Name name;
    bool allowed;
    uint64_t until_ms;
  };

  bool AllowedBySearch(const Name& name, Name* judged) const;
  const Answer* Answered(const Name& name, uint64_t now_ms) const;
  const char* Brake(const Name& name, const Name& below, uint64_t now_ms);
  uint64_t Hash(const Name& name) const;

  const Rules& rules_;
  const Resolver& resolver_;
  uint64_t key_;
  uint64_t seen_[kSeen] = {};  // hashes of wildcard names, the oldest giving way
  size_t next_seen_ = 0;
  uint32_t tokens_ = kBurst;
  uint64_t refilled_ms_ = 0;
  Answer answers_[kAnswers] = {};
  size_t next_answer_ = 0;
};

}  // namespace qi
