// How often each thing was refused, for the sentence at the end of a run without a host. Bounded: what a flood of
// different refusals adds beyond that is in their total only. Runs in: monitor.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/hash.h"

namespace qi {

struct TalliedRefusal {
  uint64_t key;
  uint64_t count;
  const char* action;  // of the event
  const char* access;  // write or execute, where that has to be said of a path; else empty
  char* what;          // a path, a host with its port, or the name of a call
};

class RefusalTally {
 public:
  void Enable() { enabled_ = true; }
  // The place where a kind is counted; null when nobody wants to know, or all places are taken.
  TalliedRefusal* OfPath(const char* action, const char* path);
  TalliedRefusal* OfHost(const char* action, const char* host, int port, bool udp = false);  // -1: no port
  TalliedRefusal* OfCall(const char* action, const char* name) { return Find(action, name, ""); }

  size_t size() const { return used_; }
  // Not worth a word to a person: runtimes read /sys to size themselves, at every start.
  static bool IsRoutine(const char* action, const char* path);
  void CountRoutine() { ++routine_; }
  uint64_t routine() const { return routine_; }

  // How many of the actions that begin with `prefix`.
  uint64_t Count(const char* prefix) const;
  // The most frequent, of several the first by name; null without any.
  const TalliedRefusal* MostFrequent() const;

 private:
  static constexpr size_t kKinds = 256;

  TalliedRefusal* Find(const char* action, const char* what, const char* access);

  const uint64_t seed_ = DrawHashSeed();
  bool enabled_ = false;
  TalliedRefusal kinds_[kKinds] = {};
  size_t used_ = 0;
  uint64_t routine_ = 0;
};

// For `place` as the tally gave it.
inline void CountRefusals(TalliedRefusal* place, uint64_t count) {
  if (place != nullptr) place->count += count;
}

}  // namespace qi
