#include "monitor/refusal_tally.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace qi {
namespace {

bool BeginsWith(const char* text, const char* prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

const char* AccessOf(const char* action) {
  if (BeginsWith(action, "network.") || strcmp(action, "file.read") == 0) return "";
  return strcmp(action, "file.execute") == 0 ? "execute" : "write";
}

}  // namespace

TalliedRefusal* RefusalTally::Find(const char* action, const char* what, const char* access) {
  if (!enabled_) return nullptr;
  uint64_t key = Hash(Hash(seed_, action, strlen(action) + 1), what, strlen(what));
  for (size_t i = 0; i < used_; ++i) {
    if (kinds_[i].key == key) return &kinds_[i];
  }
  char* copy = used_ < kKinds ? strdup(what) : nullptr;
  if (copy == nullptr) return nullptr;
  kinds_[used_] = {key, 0, action, access, copy};
  return &kinds_[used_++];
}

bool RefusalTally::IsRoutine(const char* action, const char* path) {
  return strcmp(action, "file.read") == 0 && BeginsWith(path, "/sys/");
}

TalliedRefusal* RefusalTally::OfPath(const char* action, const char* path) {
  return Find(action, path, AccessOf(action));
}

TalliedRefusal* RefusalTally::OfHost(const char* action, const char* host, int port, bool udp) {
  char text[300];
  bool is6 = strchr(host, ':') != nullptr;
  if (port < 0) {
    snprintf(text, sizeof(text), "%s", host);
  } else {
    snprintf(text, sizeof(text), is6 ? "[%s]:%d%s" : "%s:%d%s", host, port, udp ? "/udp" : "");
  }
  return Find(action, text, "");
}

uint64_t RefusalTally::Count(const char* prefix) const {
  uint64_t sum = 0;
  for (size_t i = 0; i < used_; ++i) {
    if (BeginsWith(kinds_[i].action, prefix)) sum += kinds_[i].count;
  }
  return sum;
}

const TalliedRefusal* RefusalTally::MostFrequent() const {
  const TalliedRefusal* best = nullptr;
  for (size_t i = 0; i < used_; ++i) {
    const TalliedRefusal& one = kinds_[i];
    bool more = best == nullptr || one.count > best->count;
    if (more || (one.count == best->count && strcmp(one.what, best->what) < 0)) best = &one;
  }
  return best;
}

}  // namespace qi
