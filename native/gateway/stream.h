// One direction of a relayed connection: from a socket through a pipe to a socket, without a copy. Runs in: gateway.
#pragma once
#include <cstddef>

#include "core/fd.h"

namespace qi {

class Stream {
 public:
  // Moves what can be moved now, up to a share: then it is somebody else's turn. The end of `from` becomes the end of
  // what `to` is sent. False: the connection is broken.
  bool Pump(int from, int to);

  bool done() const { return done_; }
  bool wants_to_read() const { return held_ == 0 && !ended_; }
  bool wants_to_write() const { return held_ > 0 || (ended_ && !done_); }

 private:
  bool OpenPipe();

  UniqueFd in_, out_;  // of the pipe; opened with the first byte
  size_t held_ = 0;
  bool ended_ = false;
  bool done_ = false;
};

}  // namespace qi
