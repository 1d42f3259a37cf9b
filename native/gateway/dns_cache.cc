#include "gateway/dns_cache.h"

#include <cstdlib>
#include <cstring>

namespace qi {

struct DnsCache::Entry {
  Name name;
  uint16_t type;
  AnswerResult result;
  uint64_t expires_ms;
  uint32_t chain_count, address_count;
  // then: addresses, and the chain as NUL-terminated texts
  IpAddress* addresses() { return reinterpret_cast<IpAddress*>(this + 1); }
  const IpAddress* addresses() const { return reinterpret_cast<const IpAddress*>(this + 1); }
};

DnsCache::~DnsCache() {
  for (auto& set : entries_) {
    for (Entry* entry : set) free(entry);
  }
}

size_t DnsCache::SetOf(const Name& name, uint16_t type) {
  uint32_t hash = 0x811c9dc5u ^ type;
  for (size_t i = 0; i < name.size; ++i) hash = (hash ^ static_cast<uint8_t>(name.text[i])) * 0x01000193u;
  return (hash ^ hash >> 16) % kSets;
}

void DnsCache::Put(const Name& name, uint16_t type, AnswerResult result, DnsData* data, uint64_t now_ms) {
  if (result == AnswerResult::kData) {
    if (data->ttl > kMaxTtl) data->ttl = kMaxTtl;
  } else if (result == AnswerResult::kNoData || result == AnswerResult::kNxDomain) {
    if (data->ttl == 0) data->ttl = kDefaultNegativeTtl;
    if (data->ttl > kMaxNegativeTtl) data->ttl = kMaxNegativeTtl;
  } else {
    return;
  }
  if (data->ttl == 0) return;
  size_t bytes = sizeof(Entry) + data->address_count * sizeof(IpAddress);
  for (size_t i = 0; i < data->chain_count; ++i) bytes += data->chain[i].size + 1u;
  auto* entry = static_cast<Entry*>(malloc(bytes));
  if (entry == nullptr) return;
  entry->name = name;
  entry->type = type;
  entry->result = result;
  entry->expires_ms = now_ms + data->ttl * uint64_t{1000};
  entry->chain_count = static_cast<uint32_t>(data->chain_count);
  entry->address_count = static_cast<uint32_t>(data->address_count);
  if (data->address_count > 0) memcpy(entry->addresses(), data->addresses, data->address_count * sizeof(IpAddress));
  char* text = reinterpret_cast<char*>(entry->addresses() + data->address_count);
  for (size_t i = 0; i < data->chain_count; text += data->chain[i++].size + 1u)
    memcpy(text, data->chain[i].text, data->chain[i].size + 1u);

  Entry** place = nullptr;
  for (Entry*& known : entries_[SetOf(name, type)]) {
    bool same = known != nullptr && known->type == type && known->name == name;
    bool better =
        place == nullptr || (*place != nullptr && (known == nullptr || known->expires_ms < (*place)->expires_ms));
    if (same || better) place = &known;
    if (same) break;
  }
  free(*place);
  *place = entry;
}

bool DnsCache::Get(const Name& name, uint16_t type, uint64_t now_ms, AnswerResult* result, DnsData* data) const {
  for (const Entry* entry : entries_[SetOf(name, type)]) {
    if (entry == nullptr || entry->type != type || !(entry->name == name) || entry->expires_ms <= now_ms) continue;
    *result = entry->result;
    data->ttl = static_cast<uint32_t>((entry->expires_ms - now_ms + 999) / 1000);
    data->address_count = entry->address_count;
    data->chain_count = entry->chain_count;
    if (entry->address_count > 0) memcpy(data->addresses, entry->addresses(), entry->address_count * sizeof(IpAddress));
    const char* text = reinterpret_cast<const char*>(entry->addresses() + entry->address_count);
    for (size_t i = 0; i < data->chain_count; ++i) {
      data->chain[i] = Name();
      data->chain[i].size = static_cast<uint8_t>(strlen(text));
      memcpy(data->chain[i].text, text, data->chain[i].size + 1u);
      text += data->chain[i].size + 1u;
    }
    return true;
  }
  return false;
}

}  // namespace qi
