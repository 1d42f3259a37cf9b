// What paths looked like when something was made of them (src/cache/observe.ts): do they still? May run in: addon,
// monitor before its launch.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cache/entry.gen.h"

namespace qi {

// The references of `looks` were checked.
bool AreAsBefore(const PlanBlob& blob, const PlanList<CacheLook>& looks);

// Of a CacheLooks, as TypeScript wrote it; false also where it is none.
bool NotedAreAsBefore(const uint8_t* data, size_t size);

}  // namespace qi
