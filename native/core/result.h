// The one result type of core and qi-monitor: which numbered step failed, with which errno, on what. No logging, no
// exceptions. May run in: addon, monitor, child.
#pragma once
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/steps.gen.h"

namespace qi {

struct Result {
  Step step = Step::kNone;
  int error = 0;
  char detail[200] = {};

  bool ok() const { return step == Step::kNone; }
};

inline Result Ok() { return {}; }

inline Result Fail(Step step, int error, const char* detail = "") {
  Result r;
  r.step = step;
  r.error = error;
  size_t n = strnlen(detail, sizeof(r.detail) - 1);  // cut where too long
  memcpy(r.detail, detail, n);
  return r;
}

}  // namespace qi
