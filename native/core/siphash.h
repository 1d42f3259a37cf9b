// SipHash-2-4 with 128 bits of output (Aumasson, Bernstein: "SipHash: a fast short-input PRF"): who does not know the
// key can make no input that hashes to what they want. Runs in: anywhere.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace qi {

constexpr size_t kSipKeyBytes = 16;
constexpr size_t kSipHashBytes = 16;

namespace sip {

struct State {
  uint64_t v0, v1, v2, v3;

  static uint64_t Rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

  void Rounds(int n) {
    for (int i = 0; i < n; ++i) {
      v0 += v1, v2 += v3;
      v1 = Rotate(v1, 13) ^ v0, v3 = Rotate(v3, 16) ^ v2;
      v0 = Rotate(v0, 32);
      v2 += v1, v0 += v3;
      v1 = Rotate(v1, 17) ^ v2, v3 = Rotate(v3, 21) ^ v0;
      v2 = Rotate(v2, 32);
    }
  }

  void Take(uint64_t word) {
    v3 ^= word;
    Rounds(2);
    v0 ^= word;
  }

  uint64_t Half() const { return v0 ^ v1 ^ v2 ^ v3; }
};

// Little-endian, as everything that a plan holds.
inline uint64_t Load(const uint8_t* p, size_t n) {
  uint64_t word = 0;
  memcpy(&word, p, n);
  return word;
}

}  // namespace sip

inline void SipHash(const uint8_t* key, const uint8_t* data, size_t size, uint8_t* out) {
  const uint64_t k0 = sip::Load(key, 8), k1 = sip::Load(key + 8, 8);
  sip::State s = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du ^ 0xee, k0 ^ 0x6c7967656e657261u,
                  k1 ^ 0x7465646279746573u};
  size_t whole = size / 8 * 8;
  for (size_t at = 0; at < whole; at += 8) s.Take(sip::Load(data + at, 8));
  uint64_t tail = whole < size ? sip::Load(data + whole, size - whole) : 0;
  s.Take(tail | static_cast<uint64_t>(size) << 56);
  s.v2 ^= 0xee;
  s.Rounds(4);
  uint64_t halves[2] = {s.Half(), 0};
  s.v1 ^= 0xdd;
  s.Rounds(4);
  halves[1] = s.Half();
  memcpy(out, halves, sizeof(halves));
}

}  // namespace qi
