// Processes of a jail without a pid namespace: whom it may signal (where Landlock has no scopes, ABI 6), whose
// scheduling and limits it may change. What is decided on is in registers, and nobody leaves the line of descent, so
// calls that are allowed go on. Runs in: monitor.
#pragma once
#include <linux/seccomp.h>

#include "core/fd.h"
#include "core/result.h"
#include "monitor/notify.h"

namespace qi {

class ProcessGuard {
 public:
  // `init`: from whom all of the jail's processes descend. Step kOpenJailRoot.
  Result Init(pid_t init);

  // Verdict::kProcess. `name`: of the call.
  void Decide(const seccomp_notif& request, const char* name, Answer* answer) const;

 private:
  bool IsOfJail(pid_t pid) const;
  bool GroupIsOfJail(pid_t group) const;

  UniqueFd proc_;
  pid_t init_ = -1;
};

}  // namespace qi
