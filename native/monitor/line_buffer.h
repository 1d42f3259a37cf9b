// Cuts what a socket sends into lines, of which one fits into the room that there is. Runs in: monitor.
#pragma once
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace qi {

class LineBuffer {
 public:
  LineBuffer(char* room, size_t capacity) : room_(room), capacity_(capacity) {}

  // Takes what there is. False at the end of file, at an error, and when a line is longer than the room.
  bool Receive(int fd) {
    if (begin_ > 0) memmove(room_, room_ + begin_, size_ - begin_);
    size_ -= begin_;
    begin_ = 0;
    if (size_ == capacity_) return false;
    ssize_t n = recv(fd, room_ + size_, capacity_ - size_, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return true;
    if (n <= 0) return false;
    size_ += static_cast<size_t>(n);
    return true;
  }

  // The next whole line, until the next Receive; null: there is none yet.
  char* Next() {
    char* line = room_ + begin_;
    auto* end = static_cast<char*>(memchr(line, '\n', size_ - begin_));
    if (end == nullptr) return nullptr;
    *end = 0;
    begin_ = static_cast<size_t>(end + 1 - room_);
    return line;
  }

  void Clear() { begin_ = size_ = 0; }

 private:
  char* room_;
  size_t capacity_;
  size_t begin_ = 0;  // of what was not handed out yet
  size_t size_ = 0;
};

}  // namespace qi
