#include "network/records.h"

#include <cstdlib>

namespace qi {

Records::~Records() { free(records_); }

void Records::Add(const Record& record, uint64_t now_ms) {
  if (records_ == nullptr) records_ = static_cast<Record*>(calloc(kMax, sizeof(Record)));  // touched as it fills
  if (records_ == nullptr) return;                                                         // the address stays refused
  Record* place = nullptr;
  for (size_t i = 0; i < count_; ++i) {
    Record& known = records_[i];
    if (known.address == record.address && known.name == record.name) {
      if (known.expires_ms < record.expires_ms) known.expires_ms = record.expires_ms;
      known.trusted = record.trusted;
      return;
    }
    if (known.expires_ms <= now_ms && place == nullptr) place = &known;
  }
  if (place == nullptr && count_ < kMax) place = &records_[count_++];
  if (place == nullptr) {
    place = &records_[0];
    for (size_t i = 1; i < count_; ++i) {
      if (records_[i].expires_ms < place->expires_ms) place = &records_[i];
    }
  }
  *place = record;
}

const Record* Records::Next(const IpAddress& address, uint64_t now_ms, const Record* from) const {
  for (const Record* r = from == nullptr ? records_ : from + 1; r != records_ + count_; ++r) {
    if (r->expires_ms > now_ms && r->address == address) return r;
  }
  return nullptr;
}

}  // namespace qi
