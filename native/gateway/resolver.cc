#include "gateway/resolver.h"

#include <cstdlib>
#include <cstring>

namespace qi {
namespace {

constexpr size_t kMaxLine = 512;

}  // namespace

Resolver::~Resolver() { free(hosts_); }

bool Resolver::AddHost(const Host& host) {
  if (host_count_ == kMaxHosts) return false;
  if ((host_count_ & (host_count_ - 1)) == 0) {  // at every power of two, room for as many again
    size_t room = host_count_ == 0 ? 1 : host_count_ * 2;
    auto* grown = static_cast<Host*>(realloc(static_cast<void*>(hosts_), room * sizeof(Host)));
    if (grown == nullptr) return false;
    hosts_ = grown;
  }
  hosts_[host_count_++] = host;
  return true;
}

bool Resolver::ParseLine(char* line) {
  char* rest = nullptr;
  const char* kind = strtok_r(line, " ", &rest);
  if (kind == nullptr) return true;
  const char* first = strtok_r(nullptr, " ", &rest);
  const char* second = strtok_r(nullptr, " ", &rest);
  if (first == nullptr) return false;
  if (strcmp(kind, "hosts") == 0) {
    Host host;
    return second != nullptr && ParseAddress(first, &host.address) && ParseName(second, strlen(second), &host.name) &&
           AddHost(host);
  }
  if (second != nullptr) return false;
  if (strcmp(kind, "nameserver") == 0) {
    IpAddress address;
    if (!ParseAddress(first, &address)) return false;
    if (server_count < kMaxServers) servers[server_count++] = address;
    return true;
  }
  Name domain;
  if (strcmp(kind, "search") != 0 || !ParseName(first, strlen(first), &domain)) return false;
  if (search_count < kMaxSearch) search[search_count++] = domain;
  return true;
}

bool Resolver::Parse(const char* text, size_t size) {
  for (size_t at = 0; at < size;) {
    const void* found = memchr(text + at, '\n', size - at);
    size_t end = found == nullptr ? size : static_cast<size_t>(static_cast<const char*>(found) - text);
    char line[kMaxLine];
    if (end - at >= sizeof(line)) return false;
    memcpy(line, text + at, end - at);
    line[end - at] = 0;
    if (!ParseLine(line)) return false;
    at = end + 1;
  }
  return true;
}

const Resolver::Host* Resolver::NextHost(const Name& name, const Host* from) const {
  for (const Host* host = from == nullptr ? hosts_ : from + 1; host != hosts_ + host_count_; ++host) {
    if (host->name == name) return host;
  }
  return nullptr;
}

}  // namespace qi
