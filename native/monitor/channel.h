// The two socket pairs between qi-monitor and the jail while it is built and run (ARCHITECTURE.md, "Messages").
// status: pid 1 and payload -> monitor, closed by the exec. init: monitor <-> pid 1, for the jail's whole life.
// Runs in: monitor, init, payload.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/fd.h"
#include "core/result.h"

namespace qi {

enum class StatusType : uint32_t {
  kFailed = 1,
  kPayload = 2,
  kListener = 3,
  kConfined = 4,
  kWarden = 5,
  kFiltering = 6  // the payload's filter is next
};

struct StatusMessage {
  StatusType type;
  Step step;
  int32_t error;
  uint64_t network;  // kPayload: of its sockets (NetworkHere)
  char detail[200];
};

enum class InitCommand : uint32_t {
  kMaps = 1,
  kGrants = 2,
  kGo = 3,
  kSignal = 4,
  kExited = 5,
  kRelays = 6,
  kEcho = 7  // pid 1 sends it back when all that came before is done
};

// InitMessage::group: all processes of the jail but pid 1.
inline constexpr uint32_t kEverybody = 2;

inline constexpr size_t kGrantsPerMessage = 200;  // SCM_MAX_FD is 253

struct InitMessage {
  InitCommand command;
  uint32_t first;  // kGrants: index of the first mount operation in this message
  uint32_t count;  // kGrants: how many mount operations it covers; kRelays: descriptors; kEcho: which
  int32_t signal;  // kSignal
  uint32_t group;  // kSignal: 1 the payload's process group instead of it, or kEverybody
  int32_t status;  // kExited: wait status
  uint8_t present[kGrantsPerMessage];  // kGrants: 1 where a descriptor comes along
};

bool MakeChannel(UniqueFd* mine, UniqueFd* theirs);

// Sends one message with `count` descriptors. Returns 0 or an errno.
int SendMessage(int fd, const void* data, size_t size, const int* fds = nullptr, size_t count = 0);

// Receives one message of exactly `size` bytes. Returns 0, an errno, or EPIPE at end of file. `*count` is room in, got
// out. `sender`: the sender's pid as this namespace sees it (SCM_CREDENTIALS), 0 when not asked for.
int ReceiveMessage(int fd, void* data, size_t size, int* fds = nullptr, size_t* count = nullptr, int* sender = nullptr);

}  // namespace qi
