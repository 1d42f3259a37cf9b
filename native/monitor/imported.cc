#include "monitor/imported.h"

#include <linux/filter.h>

#include <cstring>

namespace qi {
namespace {

constexpr uint32_t kFault = SECCOMP_RET_KILL_PROCESS;

// Where a conditional jump goes, counted from the next instruction; the accumulator is compared with a constant.
uint32_t Jump(const sock_filter& at, uint32_t a) {
  switch (BPF_OP(at.code)) {
    case BPF_JEQ:
      return a == at.k ? at.jt : at.jf;
    case BPF_JGT:
      return a > at.k ? at.jt : at.jf;
    case BPF_JGE:
      return a >= at.k ? at.jt : at.jf;
    case BPF_JSET:
      return (a & at.k) != 0 ? at.jt : at.jf;
    default:
      return at.k;  // BPF_JA
  }
}

}  // namespace

// Jumps go forward only, so that it ends; one past the end is a fault like any other.
uint32_t RunFilter(Span<uint8_t> program, const seccomp_data& data) {
  size_t count = program.size / sizeof(sock_filter);
  uint32_t a = 0;
  for (size_t pc = 0; pc < count; ++pc) {
    sock_filter at;
    memcpy(&at, program.data + pc * sizeof(at), sizeof(at));
    switch (at.code) {
      case BPF_RET | BPF_K:
        return at.k;
      case BPF_LD | BPF_W | BPF_ABS:
        if (at.k % 4 != 0 || at.k > sizeof(data) - sizeof(a)) return kFault;
        memcpy(&a, reinterpret_cast<const char*>(&data) + at.k, sizeof(a));
        break;
      case BPF_LD | BPF_IMM:
        a = at.k;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= at.k;
        break;
      case BPF_JMP | BPF_JA:
      case BPF_JMP | BPF_JEQ | BPF_K:
      case BPF_JMP | BPF_JGT | BPF_K:
      case BPF_JMP | BPF_JGE | BPF_K:
      case BPF_JMP | BPF_JSET | BPF_K:
        pc += Jump(at, a);
        break;
      default:
        return kFault;
    }
  }
  return kFault;
}

}  // namespace qi
