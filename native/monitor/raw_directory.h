// The names in an open directory, without the heap, which pid 1 does not use. Runs in: monitor, init, warden.
#pragma once
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace qi {

class RawDirectory {
 public:
  // From where `fd` stands on, which is the start of one just opened.
  explicit RawDirectory(int fd) : fd_(fd) {}

  // nullptr at the end, and when it cannot be read. Valid until the next call.
  const char* Next() {
    for (;;) {
      if (at_ >= end_) {
        end_ = syscall(SYS_getdents64, fd_, room_, sizeof(room_));
        at_ = 0;
        if (end_ <= 0) return nullptr;
      }
      auto* entry = reinterpret_cast<Entry*>(room_ + at_);
      at_ += entry->length;
      if (strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0) return entry->name;
    }
  }

 private:
  // As the kernel writes it. getdents64(2)
  struct Entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
  };

  int fd_;
  alignas(8) char room_[4096];
  long at_ = 0, end_ = 0;
};

}  // namespace qi
