// What the profile says about a path, and what Landlock does: both lists of the plan. Runs in: monitor.
#pragma once
#include "monitor/jail.h"

namespace qi {

class FileRules {
 public:
  explicit FileRules(const Jail& jail) : jail_(jail) {}

  // The innermost rule around `path`; never null in a plan that observes files (the last rule is about "/").
  const FileRule* Find(const char* path) const;

  // True when a rule lies below `path`: a folder on the way to something that may be seen.
  bool LeadsTo(const char* path) const;

  // LANDLOCK_ACCESS_FS_*: whether the rules of the folders around `path` come to `wanted`.
  bool LandlockAllows(const char* path, uint64_t wanted) const;

 private:
  const Jail& jail_;
};

}  // namespace qi
