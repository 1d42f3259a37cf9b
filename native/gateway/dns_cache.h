// Upstream's answers for as long as their TTL, as they came: they are judged again each time they are used. Bounded; in
// a full set the one that expires first gives way. Runs in: gateway.
#pragma once
#include "network/dns_message.h"

namespace qi {

class DnsCache {
 public:
  static constexpr size_t kSets = 256, kWays = 4;
  static constexpr uint32_t kMaxTtl = 24 * 3600;
  static constexpr uint32_t kMaxNegativeTtl = 300;
  static constexpr uint32_t kDefaultNegativeTtl =
      30;  // upstream does not say: RFC 2308 wants none then, floods want some

  DnsCache() = default;
  ~DnsCache();
  DnsCache(const DnsCache&) = delete;
  DnsCache& operator=(const DnsCache&) = delete;

  // kData, kNoData and kNxDomain; other results are nobody's answer. Caps `data->ttl` first.
  void Put(const Name& name, uint16_t type, AnswerResult result, DnsData* data, uint64_t now_ms);

  // With what is left of its TTL.
  bool Get(const Name& name, uint16_t type, uint64_t now_ms, AnswerResult* result, DnsData* data) const;

 private:
  struct Entry;  // a head and what there is of it, in one allocation
  static size_t SetOf(const Name& name, uint16_t type);

  Entry* entries_[kSets][kWays] = {};
};

}  // namespace qi
