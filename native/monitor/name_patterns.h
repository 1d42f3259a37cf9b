// The plan's patterns of names that are denied in mediated folders, asked about canonical paths. Runs in: monitor.
#pragma once
#include "monitor/jail.h"

namespace qi {

class NamePatterns {
 public:
  explicit NamePatterns(const Jail& jail) : jail_(jail) {}

  bool IsMediated(const char* path) const;

  // The rule against `path`, or null.
  const char* RuleAgainst(const char* path) const;

  // The rule by which what lies in one of these folders would be denied, or would be denied no more, as part of the
  // other; null when none makes a difference. Nothing is looked up: equal places in a program have equal futures.
  const char* RuleBetween(const char* from, const char* to) const;

 private:
  const Jail& jail_;
};

}  // namespace qi
