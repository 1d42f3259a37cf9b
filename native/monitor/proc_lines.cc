#include "monitor/proc_lines.h"

#include <fcntl.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace qi {

ProcLines::ProcLines(const char* path) : ProcLines(AT_FDCWD, path) {}

ProcLines::ProcLines(int dir, const char* path) : fd_(openat(dir, path, O_RDONLY | O_CLOEXEC)) {}

const char* ProcLines::Next() {
  for (;;) {
    char* line = buffer_ + start_;
    auto* newline = static_cast<char*>(memchr(line, '\n', end_ - start_));
    if (newline != nullptr) {
      *newline = 0;
      start_ = static_cast<size_t>(newline + 1 - buffer_);
      if (!cut_) return line;
      cut_ = false;  // the rest of a line that was cut: a payload may have chosen it to look like one of its own
      continue;
    }
    if (over_ || !fd_ || (start_ == 0 && end_ == sizeof(buffer_) - 1)) {
      bool rest = end_ > start_ && !cut_;
      bool more = !over_ && fd_;
      buffer_[end_] = 0;
      start_ = end_ = 0;
      if (more && cut_) continue;
      cut_ = more;
      return rest ? line : nullptr;
    }
    memmove(buffer_, line, end_ - start_);
    end_ -= start_;
    start_ = 0;
    ssize_t n = RetryEintr([&] { return read(fd_.get(), buffer_ + end_, sizeof(buffer_) - 1 - end_); });
    if (n <= 0) over_ = true;
    if (n > 0) end_ += static_cast<size_t>(n);
  }
}

// "tfd:        5 events:       19 data:                5  pos:0 ino:1a2b sdev:8", the numbers but tfd and pos in
// base 16.
bool ParseEpollEntry(const char* line, EpollEntry* entry) {
  return sscanf(line, "tfd: %d events: %" SCNx32 " data: %" SCNx64 " pos:%*d ino:%" SCNx64 " sdev:%" SCNx64, &entry->fd,
                &entry->events, &entry->data, &entry->inode, &entry->device) == 5;
}

}  // namespace qi
