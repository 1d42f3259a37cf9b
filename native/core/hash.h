// FNV-1a, 64 bit, for telling kinds of events apart: a collision merges two kinds into one count, and that is all it
// can do. Not for tables that an attacker could slow down. Runs in: anywhere.
#pragma once
#include <cstddef>
#include <cstdint>

namespace qi {

constexpr uint64_t kHashSeed = 0xcbf29ce484222325u;

inline uint64_t Hash(uint64_t seed, const void* data, size_t size) {
  const auto* p = static_cast<const unsigned char*>(data);
  // The analyzer takes a writer's buffer for unset: it holds `size` bytes.
  // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult)
  for (size_t i = 0; i < size; ++i) seed = (seed ^ p[i]) * 0x100000001b3u;
  return seed;
}

}  // namespace qi
