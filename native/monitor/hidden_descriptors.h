// Descriptors of a process that made itself undumpable. Its list of them is root's then (proc(5)), but what they are is
// told to whoever may trace it, and so are copies given. Runs in: monitor.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "core/fd.h"

namespace qi {

class HiddenDescriptors {
 public:
  // `any_memfd`: tells the mount that all of them are on. `jail_proc`: the jail's /proc.
  void Open(int jail_proc, int any_memfd);

  // A copy of descriptor `number` of the process that the jail knows as `pid`, if it is a memfd. Others are left alone:
  // the last copy of a socket may linger when it is closed. `dir`, `path`: of the descriptor's fdinfo.
  UniqueFd CopyOfMemfd(pid_t pid, int number, int dir, const char* path);

 private:
  pid_t OutsidePid(pid_t pid);
  void ScanHost(pid_t sought);

  static constexpr size_t kMax = 1024;
  static constexpr size_t kNone = ~size_t{0};
  struct Known {
    pid_t inside, outside;
  };
  size_t Find(pid_t pid) const;

  static constexpr uint64_t kNoMount = ~uint64_t{0};
  uint64_t memfd_mount_ = kNoMount;
  int jail_proc_ = -1;
  uint64_t scanned_ns_ = 0;
  Known known_[kMax];
  size_t count_ = 0;
};

}  // namespace qi
