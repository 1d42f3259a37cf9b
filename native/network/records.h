// Which names were answered with which addresses, and until when: a connect is judged by the name that produced its
// address. Bounded; the entry that expires first gives way. May run in: monitor, gateway.
#pragma once
#include <cstddef>
#include <cstdint>

#include "network/address.h"
#include "network/name.h"

namespace qi {

struct Record {
  Name name;
  IpAddress address;
  uint64_t expires_ms = 0;  // CLOCK_MONOTONIC; the record's TTL and the time an address stays connectable after it
  bool trusted = false;     // from the host's /etc/hosts: its owner wrote it, so it may be a private address
};

class Records {
 public:
  static constexpr size_t kMax = 4096;

  Records() = default;
  ~Records();
  Records(const Records&) = delete;
  Records& operator=(const Records&) = delete;

  void Add(const Record& record, uint64_t now_ms);
  // The next record of `address` that still holds, after `from` (nullptr: the first).
  const Record* Next(const IpAddress& address, uint64_t now_ms, const Record* from = nullptr) const;
  size_t size() const { return count_; }

 private:
  Record* records_ = nullptr;
  size_t count_ = 0;
};

}  // namespace qi
