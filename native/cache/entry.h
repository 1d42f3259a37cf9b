// One kept plan (schema/cache.json), followed by a code that only who knows the secret can make. Is it
// whole, is everything it was made of still so, and what plan does it come to now? Every byte is taken for hostile
// until the code was found right, and checked all the same. May run in: monitor before its launch.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cache/entry.gen.h"
#include "core/siphash.h"

namespace qi {

// Of the entry, and of the plan in it.
constexpr uint32_t kCacheFormat = kCacheVersion | kPlanVersion << 16;

// Of this process; `variables` as environ.
struct Caller {
  const char* const* variables;
  const uint8_t* key;
  size_t key_size;
  const char* facts;
  size_t facts_size;
};

// `data` 8-byte aligned. The entry, or nullptr.
const CacheEntry* ReadEntry(const uint8_t* data, size_t size, const uint8_t* secret, PlanBlob* blob);

// Same request, same caller and host, same variables; every path still looks as it did.
bool IsCurrent(const PlanBlob& blob, const CacheEntry& entry, const Caller& caller);

// For each launch anew; see src/launch/prepare.ts.
struct Drawn {
  uint8_t bytes[28];  // 16 of the session id, 8 of the temporary folder, 4 of the host id
};

// The plan for now, to be freed; nullptr when the entry does not hold one that qi-monitor takes. The plan's own
// references are checked by who reads it.
uint8_t* AssemblePlan(const PlanBlob& blob, const CacheEntry& entry, const Caller& caller, const Drawn& drawn,
                      size_t* size);

}  // namespace qi
