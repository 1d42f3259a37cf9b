// Opening and checking a plan. May run in: addon (tests), monitor.
#pragma once
#include "core/plan.gen.h"
#include "core/result.h"

namespace qi {

// Checks magic, version, length and every reference of the plan in `data`; on success `blob` reads it.
Result CheckPlan(const uint8_t* data, size_t size, PlanBlob* blob);

// Maps the sealed memfd `fd` read-only and checks it. A memfd that could still be written is refused: the bytes that
// were checked must be the bytes that are used. memfd_create(2), fcntl(2) F_GET_SEALS.
Result ReadPlan(int fd, PlanBlob* blob);

inline const Plan& PlanOf(const PlanBlob& blob) { return *reinterpret_cast<const Plan*>(blob.data); }

}  // namespace qi
