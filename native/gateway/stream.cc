#include "gateway/stream.h"

#include <fcntl.h>
#include <sys/socket.h>

namespace qi {
namespace {

constexpr size_t kPipeSize = 64 * 1024;  // what the kernel gives; it may be less for a user with many
constexpr int kRounds = 16;

bool WouldBlock() { return errno == EAGAIN || errno == EINTR; }

ssize_t Move(int from, int to, size_t size) {
  return splice(from, nullptr, to, nullptr, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

}  // namespace

bool Stream::OpenPipe() {
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return false;
  out_.reset(ends[0]);
  in_.reset(ends[1]);
  return true;
}

bool Stream::Pump(int from, int to) {
  if (!in_ && !done_ && !OpenPipe()) return false;
  for (int i = 0; i < kRounds && !done_; ++i) {
    if (held_ > 0) {
      ssize_t n = Move(out_.get(), to, held_);
      if (n <= 0) return n < 0 && WouldBlock();
      held_ -= static_cast<size_t>(n);
    } else if (ended_) {
      (void)shutdown(to, SHUT_WR);  // a peer that is gone needs no end
      done_ = true;
    } else {
      ssize_t n = Move(from, in_.get(), kPipeSize);
      if (n < 0) return WouldBlock();
      held_ = static_cast<size_t>(n);
      ended_ = n == 0;
    }
  }
  return true;
}

}  // namespace qi
