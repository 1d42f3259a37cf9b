// Files of /proc line by line, whatever their length. Runs in: monitor.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/fd.h"

namespace qi {

class ProcLines {
 public:
  explicit ProcLines(const char* path);
  ProcLines(int dir, const char* path);
  explicit ProcLines(UniqueFd fd) : fd_(static_cast<UniqueFd&&>(fd)) {}

  bool ok() const { return static_cast<bool>(fd_); }
  // The next line without its end, cut when it is absurdly long; nullptr at the end. Valid until the next call.
  const char* Next();

 private:
  UniqueFd fd_;
  char buffer_[4096];
  size_t start_ = 0, end_ = 0;
  bool over_ = false;
  bool cut_ = false;
};

// One registration of an epoll set, as its fdinfo lists it.
struct EpollEntry {
  int fd;
  uint32_t events;
  uint64_t data;
  uint64_t inode;
  uint64_t device;  // as the kernel numbers it: major << 20 | minor
};
bool ParseEpollEntry(const char* line, EpollEntry* entry);

}  // namespace qi
