// Of Inspector alone. Runs in: gateway.
#pragma once
#include <cstdlib>

#include "gateway/inspector.h"
#include "gateway/stream.h"

namespace qi {

struct Inspector::Connection {
  UniqueFd fd[2];           // by Side
  uint32_t wanted[2] = {};  // events that are watched for; 0: not in the epoll set
  State state = State::kReading;
  uint16_t index = 0;
  uint32_t generation = 0;
  uint64_t until_ms = 0;  // of kReading
  IpAddress to;
  uint16_t port = 0;
  uint8_t* first = nullptr;  // what the client said before it was known where to
  size_t size = 0, room = 0, sent = 0;
  unsigned reads = 0;
  Stream up, down;

  ~Connection() { free(first); }
};

}  // namespace qi
