// How the arguments of the calls that are commonly refused read. A call that is not here is shown as six hex numbers.
// Runs in: monitor.
#pragma once
#include <cstdint>

namespace qi {

enum class ArgType { kInt, kLong, kHex, kMode, kDirFd, kPath, kFlags, kAddress };

// (value & mask) == value names it; mask 0: the whole value.
struct FlagName {
  uint64_t value;
  uint64_t mask;
  const char* name;
};

struct ArgumentSpec {
  const char* name;
  ArgType type;
  const FlagName* flags;
};

struct CallSpec {
  const char* name;
  ArgumentSpec arguments[6];
};

const CallSpec* FindCall(const char* name);

}  // namespace qi
