// Memory that is no process's own: files of the jail's private tmpfs, memfds, System V segments. It is there whether or
// not anybody has it mapped. Runs in: monitor.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/fd.h"
#include "monitor/hidden_descriptors.h"
#include "monitor/process_table.h"

namespace qi {

class SharedMemory {
 public:
  // `root`: the jail's. `system_v`: proc's sysvipc/shm as pid 1 of the jail opened it, since it tells of the opener's
  // namespace; or -1. `any_memfd`: tells the device of all of them.
  // `own_root`: the root is a tmpfs of the jail alone, and so are the System V segments.
  bool Open(int root, int system_v, int any_memfd, const ProcessTable& table, bool own_root = true);

  // Looks at descriptors until `until_ns`, and goes on there the next time.
  void Look(const ProcessTable& table, uint64_t until_ns);

  uint64_t bytes() const {
    return tmpfs_ + system_v_bytes_ + (passed_ > passing_ ? passed_ : passing_) +
           (apart_ > aparting_ ? apart_ : aparting_);
  }

  // Counted above already, so that a process that has it mapped must not count it again.
  bool Counted(uint64_t device, uint64_t inode, bool system_v) const;

 private:
  bool LookAtProcess(const ProcessTable& table, uint64_t until_ns);
  bool LookAtDescriptors(int dir, const char* path, uint64_t* sum, uint64_t until_ns);
  uint64_t MemfdBytes(int dir, const char* path, int flags);
  uint64_t HiddenBytes(int dir, const char* number);
  bool Add(uint64_t inode);

  static constexpr size_t kPlaces = 8192;  // a memfd that finds none is counted each time: the jail is at fault then
  HiddenDescriptors hidden_;
  int root_ = -1;
  int system_v_ = -1;
  bool own_root_ = true;
  uint64_t root_device_ = 0;
  uint64_t memfd_device_ = 0;
  uint64_t tmpfs_ = 0;
  uint64_t system_v_bytes_ = 0;
  // Memfds found by the last whole pass over all processes, and by the one under way; the same for those that only a
  // thread with a table of its own has, for which every eighth pass looks.
  uint64_t passed_ = 0, passing_ = 0;
  uint64_t apart_ = 0, aparting_ = 0;
  uint32_t pass_ = 1;
  // Where it goes on.
  pid_t pid_ = 0;
  int thread_ = 0;
  int descriptor_ = 0;
  struct Place {
    uint64_t inode;
    uint32_t pass;
  };
  Place places_[kPlaces];
};

}  // namespace qi
