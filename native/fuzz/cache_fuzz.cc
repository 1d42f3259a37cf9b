// Any bytes as a kept plan, signed so that they are looked at: the check answers, and what it accepts can be compared
// and filled in to the end.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "cache/entry.h"

namespace {

const uint8_t kSecret[qi::kSipKeyBytes] = {};
const char* const kVariables[] = {"PATH=/bin", "TOKEN=now", "LC_ALL=C", nullptr};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Aligned as in qi-monitor, with nothing readable behind the code at its end.
  std::vector<uint64_t> aligned((size + qi::kSipHashBytes + 7) / 8);
  auto* bytes = reinterpret_cast<uint8_t*>(aligned.data());
  if (size > 0) memcpy(bytes, data, size);
  if (size >= sizeof(qi::CacheEntry)) {
    // These would stop nearly every mutation; what matters comes after them.
    auto* head = reinterpret_cast<qi::CacheEntry*>(bytes);
    head->magic = qi::kCacheMagic;
    head->version = qi::kCacheFormat;
    head->size = static_cast<uint32_t>(size);
  }
  qi::SipHash(kSecret, bytes, size, bytes + size);
  qi::PlanBlob blob;
  const qi::CacheEntry* entry = qi::ReadEntry(bytes, size + qi::kSipHashBytes, kSecret, &blob);
  if (entry == nullptr) return 0;
  // The key and the facts that the entry itself names, so that its variables and paths are looked at.
  const auto key = qi::Bytes(blob, entry->key), facts = qi::Bytes(blob, entry->facts);
  const qi::Caller caller = {kVariables, key.data, key.size, reinterpret_cast<const char*>(facts.data), facts.size};
  (void)qi::IsCurrent(blob, *entry, caller);
  size_t filled = 0;
  free(qi::AssemblePlan(blob, *entry, caller, qi::Drawn{}, &filled));
  return 0;
}
