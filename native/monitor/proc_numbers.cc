#include "monitor/proc_numbers.h"

#include <fcntl.h>
#include <unistd.h>

namespace qi {

ProcNumbers::ProcNumbers(int dir, const char* path) {
  int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  dir_ = fd >= 0 ? fdopendir(fd) : nullptr;
  if (fd >= 0 && dir_ == nullptr) (void)close(fd);
}

ProcNumbers::~ProcNumbers() {
  if (dir_ != nullptr) (void)closedir(dir_);
}

const char* ProcNumbers::Next() {
  while (dirent* entry = dir_ != nullptr ? readdir(dir_) : nullptr) {
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') return entry->d_name;
  }
  return nullptr;
}

void ProcNumbers::Rewind() {
  if (dir_ != nullptr) rewinddir(dir_);
}

}  // namespace qi
