// Early return of a failed Result. May run in: addon, monitor, child.
#pragma once
#include "core/result.h"

#define QI_TRY(call)                         \
  do {                                       \
    ::qi::Result try_result = (call);        \
    if (!try_result.ok()) return try_result; \
  } while (0)
