// FNV-1a, 64 bit, for telling kinds of events apart: a collision merges two kinds into one count. So that nobody can
// prepare two that collide, each log begins with a number of its own. Runs in: anywhere.
#pragma once
#include <sys/random.h>

#include <cstddef>
#include <cstdint>

namespace qi {

inline uint64_t DrawHashSeed() {
  uint64_t seed;
  // Fails on a machine that is still booting; a count is all that is at stake.
  if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed)) seed = 0xcbf29ce484222325u;
  return seed;
}

inline uint64_t Hash(uint64_t seed, const void* data, size_t size) {
  const auto* p = static_cast<const unsigned char*>(data);
  // The analyzer takes a writer's buffer for unset: it holds `size` bytes.
  // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult)
  for (size_t i = 0; i < size; ++i) seed = (seed ^ p[i]) * 0x100000001b3u;
  return seed;
}

}  // namespace qi
