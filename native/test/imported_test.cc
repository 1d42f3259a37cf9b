#include "monitor/imported.h"

#include <linux/filter.h>

#include <cstddef>

#include "check.h"

namespace {

template <size_t N>
uint32_t Run(const sock_filter (&program)[N], const seccomp_data& data) {
  return qi::RunFilter({reinterpret_cast<const uint8_t*>(program), sizeof(program)}, data);
}

constexpr uint32_t kKill = SECCOMP_RET_KILL_PROCESS;

seccomp_data Call(int nr, uint64_t first = 0, uint64_t last = 0) {
  seccomp_data data = {};
  data.nr = nr;
  data.args[0] = first;
  data.args[5] = last;
  return data;
}

}  // namespace

TEST(ReadsWhatTheKernelReported) {
  const sock_filter number[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 1), BPF_STMT(BPF_RET | BPF_K, 1),
                                BPF_STMT(BPF_RET | BPF_K, 2)};
  CHECK_EQ(Run(number, Call(7)), 1u);
  CHECK_EQ(Run(number, Call(8)), 2u);
  const sock_filter high[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args) + 5 * 8 + 4),
                              BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
                              BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 0x10, 0, 1), BPF_STMT(BPF_RET | BPF_K, 1),
                              BPF_STMT(BPF_RET | BPF_K, 2)};
  CHECK_EQ(Run(high, Call(0, 0, 0x2f00000000u)), 1u);
  CHECK_EQ(Run(high, Call(0, 0, 0x1f00000000u)), 2u);
}

TEST(JumpsAsItShould) {
  const sock_filter set[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
                             BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4, 2, 0),
                             BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 2, 2, 0),
                             BPF_STMT(BPF_RET | BPF_K, 1),
                             BPF_STMT(BPF_RET | BPF_K, 2),
                             BPF_STMT(BPF_RET | BPF_K, 3)};
  CHECK_EQ(Run(set, Call(0, 1)), 1u);
  CHECK_EQ(Run(set, Call(0, 6)), 2u);
  CHECK_EQ(Run(set, Call(0, 2)), 3u);
  const sock_filter over[] = {BPF_STMT(BPF_JMP | BPF_JA, 1), BPF_STMT(BPF_RET | BPF_K, 1),
                              BPF_STMT(BPF_RET | BPF_K, 2)};
  CHECK_EQ(Run(over, Call(0)), 2u);
}

TEST(WhatNoFilterHoldsIsAKill) {
  const sock_filter outside[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sizeof(seccomp_data)),
                                 BPF_STMT(BPF_RET | BPF_K, 1)};
  CHECK_EQ(Run(outside, Call(0)), kKill);
  const sock_filter odd[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), BPF_STMT(BPF_RET | BPF_K, 1)};
  CHECK_EQ(Run(odd, Call(0)), kKill);
  const sock_filter past[] = {BPF_STMT(BPF_JMP | BPF_JA, 0xffffffffu), BPF_STMT(BPF_RET | BPF_K, 1)};
  CHECK_EQ(Run(past, Call(0)), kKill);
  const sock_filter beyond[] = {BPF_STMT(BPF_JMP | BPF_JA, 1), BPF_STMT(BPF_RET | BPF_K, 1)};
  CHECK_EQ(Run(beyond, Call(0)), kKill);
  const sock_filter endless[] = {BPF_STMT(BPF_LD | BPF_IMM, 0)};
  CHECK_EQ(Run(endless, Call(0)), kKill);
  const sock_filter unknown[] = {BPF_STMT(BPF_ST, 0), BPF_STMT(BPF_RET | BPF_K, 1)};
  CHECK_EQ(Run(unknown, Call(0)), kKill);
  CHECK_EQ(qi::RunFilter({nullptr, 0}, Call(0)), kKill);
}

CHECK_MAIN()
