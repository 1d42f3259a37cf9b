// Programs at random, and what they say before and after: of every value they compare with, and those beside it.
#include "core/filter_shorten.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include <random>

#include "check.h"

namespace {

using Program = std::vector<sock_filter>;
using Words = std::vector<uint32_t>;  // struct seccomp_data

constexpr uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS, kAnd = BPF_ALU | BPF_AND | BPF_K, kReturn = BPF_RET | BPF_K;
constexpr uint16_t kJump = BPF_JMP | BPF_JA, kEqual = BPF_JMP | BPF_JEQ | BPF_K;
constexpr uint16_t kGreater = BPF_JMP | BPF_JGT | BPF_K, kAtLeast = BPF_JMP | BPF_JGE | BPF_K;
constexpr size_t kWords = sizeof(seccomp_data) / sizeof(uint32_t);

uint32_t Run(const Program& program, const Words& data) {
  uint32_t a = 0;
  for (size_t pc = 0; pc < program.size(); ++pc) {
    const sock_filter& it = program[pc];
    if (it.code == kReturn) return it.k;
    if (it.code == kLoad) a = data[it.k / 4];
    if (it.code == kAnd) a &= it.k;
    if (it.code == kJump) pc += it.k;
    if (it.code == kEqual) pc += a == it.k ? it.jt : it.jf;
    if (it.code == kGreater) pc += a > it.k ? it.jt : it.jf;
    if (it.code == kAtLeast) pc += a >= it.k ? it.jt : it.jf;
  }
  return ~0u;  // past the end, which the kernel does not take
}

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  uint32_t Below(uint32_t limit) { return std::uniform_int_distribution<uint32_t>(0, limit - 1)(engine_); }
  template <typename T>
  T OneOf(const std::vector<T>& values) {
    return values[Below(static_cast<uint32_t>(values.size()))];
  }

 private:
  std::mt19937 engine_;
};

const Words kMasks = {0, 1, 0xf, 0xff00, 0x80000000, ~0u};

uint32_t Value(Random* random) {
  return random->Below(8) == 0 ? random->OneOf<uint32_t>({0x7fffffff, 0x80000000, ~0u, ~0u - 1}) : random->Below(40);
}

Program Make(Random* random, size_t size) {
  Program program = {{kLoad, 0, 0, 4 * random->Below(3)}};
  while (program.size() + 8 < size) {
    size_t left = size - program.size() - 4;
    auto far = [&] { return static_cast<uint8_t>(random->Below(static_cast<uint32_t>(left < 200 ? left : 200))); };
    switch (random->Below(8)) {
      case 0:
        program.push_back({kLoad, 0, 0, 4 * random->Below(3)});
        if (random->Below(2) == 0) program.push_back({kAnd, 0, 0, random->OneOf(kMasks)});
        break;
      case 1:
        program.push_back({kJump, 0, 0, random->Below(4)});
        break;
      case 2:
        program.push_back({kReturn, 0, 0, random->Below(3)});
        break;
      default:
        program.push_back({random->OneOf<uint16_t>({kEqual, kEqual, kGreater, kAtLeast}), far(), far(), Value(random)});
    }
  }
  while (program.size() < size) program.push_back({kReturn, 0, 0, random->Below(3)});
  return program;
}

bool IsValid(const Program& program) {
  for (size_t pc = 0; pc < program.size(); ++pc) {
    const sock_filter& it = program[pc];
    size_t left = program.size() - pc - 1;
    if (it.code == kJump && it.k >= left) return false;
    if ((it.code == kEqual || it.code == kGreater || it.code == kAtLeast) && (it.jt >= left || it.jf >= left))
      return false;
  }
  return !program.empty() && program.back().code == kReturn;
}

TEST(SameAnswers) {
  Random random(20260101);
  size_t shorter = 0;
  for (int round = 0; round < 3000; ++round) {
    Program before = Make(&random, 12 + random.Below(round % 10 == 0 ? 600 : 60));
    Program after = qi::Shorten(before);
    shorter += after.size() < before.size() ? 1 : 0;
    CHECK(IsValid(after));
    Words edges = {0, ~0u};
    for (const sock_filter& it : before) {
      for (uint32_t beside : {it.k - 1, it.k, it.k + 1}) edges.push_back(beside);
    }
    for (int i = 0; i < 300; ++i) {
      Words data(kWords);
      for (uint32_t& word : data) word = random.Below(5) == 0 ? Value(&random) : random.OneOf(edges);
      if (Run(before, data) != Run(after, data)) {
        CHECK_EQ(Run(after, data), Run(before, data));
        return;
      }
    }
  }
  CHECK(shorter > 2000);
}

TEST(ARowOfValuesIsOneCase) {
  Program program = {{kLoad, 0, 0, 0}};
  for (uint32_t i = 0; i < 100; ++i) program.push_back({kEqual, static_cast<uint8_t>(100 - i), 0, 100 - i});
  program.push_back({kReturn, 0, 0, SECCOMP_RET_KILL_PROCESS});
  program.push_back({kReturn, 0, 0, SECCOMP_RET_ALLOW});
  Program after = qi::Shorten(program);
  CHECK_EQ(after.size(), size_t{5});  // load, two comparisons, two answers
  for (uint32_t value : {0u, 1u, 50u, 100u, 101u, ~0u}) {
    CHECK_EQ(Run(after, Words(kWords, value)), Run(program, Words(kWords, value)));
  }
}

// Further than a conditional jump reaches, on the way in and on the way out.
TEST(AnswersFarAway) {
  constexpr uint32_t kCalls = 500, kBlock = 4;
  Program program = {{kLoad, 0, 0, 0}};
  for (uint32_t i = 0; i < kCalls; ++i) {
    program.push_back({kEqual, 0, 1, 2 * i});
    program.push_back({kJump, 0, 0, 2 * (kCalls - i - 1) + 1 + kBlock * i});
  }
  program.push_back({kReturn, 0, 0, 8});
  for (uint32_t i = 0; i < kCalls; ++i) {
    program.insert(program.end(),
                   {{kLoad, 0, 0, 4}, {kEqual, 0, 1, i / 2}, {kReturn, 0, 0, i % 5}, {kReturn, 0, 0, 9}});
  }
  Program after = qi::Shorten(program);
  CHECK(IsValid(after));
  CHECK(after.size() < program.size());
  for (uint32_t call = 0; call < 2 * kCalls + 2; ++call) {
    for (uint32_t value : {call / 4, call / 4 + 1, call, ~0u}) {
      Words data(kWords);
      data[0] = call;
      data[1] = value;
      if (Run(program, data) != Run(after, data)) CHECK_EQ(Run(after, data), Run(program, data));
    }
  }
}

TEST(WhatItDoesNotKnowStays) {
  Program program = {{kLoad, 0, 0, 0}, {BPF_ALU | BPF_NEG, 0, 0, 0}, {kReturn, 0, 0, 1}, {kReturn, 0, 0, 2}};
  CHECK_EQ(qi::Shorten(program).size(), program.size());
  CHECK_EQ(qi::Shorten({}).size(), size_t{0});
  Program endless = {{kJump, 0, 0, ~0u}, {kReturn, 0, 0, 1}, {kReturn, 0, 0, 1}};
  CHECK_EQ(qi::Shorten(endless).size(), endless.size());
}

}  // namespace

CHECK_MAIN()
