// What the host's resolver is set to, copied out of the plan: its servers, its search list and its hosts file.
// Runs in: gateway.
#pragma once
#include <cstddef>
#include <cstdint>

#include "network/address.h"
#include "network/name.h"

namespace qi {

class Resolver {
 public:
  static constexpr size_t kMaxServers = 8;
  static constexpr size_t kMaxSearch = 16;
  static constexpr size_t kMaxHosts = 65536;

  struct Host {
    Name name;
    IpAddress address;
  };

  Resolver() = default;
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Lines of `nameserver ADDRESS`, `search DOMAIN`, `hosts ADDRESS NAME`. False: none of these, or no memory. Servers
  // and domains beyond the limits are left out, as libc does.
  bool Parse(const char* text, size_t size);

  // The next entry for `name` after `from` (nullptr: the first).
  const Host* NextHost(const Name& name, const Host* from = nullptr) const;

  IpAddress servers[kMaxServers];
  size_t server_count = 0;
  uint16_t port = 53;  // another one in tests
  Name search[kMaxSearch];
  size_t search_count = 0;

 private:
  bool ParseLine(char* line);
  bool AddHost(const Host& host);

  Host* hosts_ = nullptr;
  size_t host_count_ = 0;
};

}  // namespace qi
