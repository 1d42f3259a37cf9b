// seccomp filters as data, compiled by libseccomp. Runs in the addon and in tests only: qi-monitor gets finished BPF.
#pragma once
#include <cstdint>
#include <vector>

namespace qi {

enum class FilterArch : uint32_t { kX64 = 0, kArm64 = 1 };

/// Mirrors FilterAction of src/filter/types.ts.
struct FilterAction {
  enum class Kind : uint32_t { kAllow = 0, kErrno = 1, kNotify = 2, kKill = 3 };
  Kind kind = Kind::kKill;
  uint32_t error = 0;  // errno of kErrno, below 4096

  bool operator==(const FilterAction& other) const { return kind == other.kind && error == other.error; }
};

/// Holds when `(argument & mask) == value` over all 64 bits: a mask within the low half ignores the high half, which
/// the kernel ignores too for an int argument (CVE-2019-10063 compared it).
struct FilterArgMatch {
  uint32_t arg = 0;  // 0..5
  uint64_t mask = 0;
  uint64_t value = 0;
};

struct FilterRule {
  uint32_t number = 0;  // of FilterInput::arch, below 2^30
  FilterAction action;
  std::vector<FilterArgMatch> args;  // all must hold; each names another argument
};

struct FilterInput {
  FilterArch arch = FilterArch::kX64;
  FilterAction fallback;  // of a call that no rule matches
  std::vector<FilterRule> rules;
};

/// Replaces `*bpf` by the bytes of a struct sock_filter[]. Foreign architectures and x32 always kill the process.
/// On failure returns false, leaves `*bpf` alone and sets `*err` to an errno: EINVAL for a rule that is not valid,
/// EOPNOTSUPP for x64 on an arm64 build, E2BIG for more than BPF_MAXINSNS instructions.
bool CompileFilter(const FilterInput& input, std::vector<uint8_t>* bpf, int* err);

}  // namespace qi
