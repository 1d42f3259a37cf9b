// The jail's processes with what they take, as the jail's own /proc tells it. qi-monitor sees all of them, also those
// that hide from each other: their user namespace is a child of its own, made by its user (user_namespaces(7)).
// Runs in: monitor.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "monitor/proc_numbers.h"
#include "monitor/target.h"

namespace qi {

struct ProcessEntry {
  pid_t pid;       // as the jail numbers it
  uint64_t bytes;  // this and the next two as in ProcessMemory
  uint64_t tables;
  uint64_t size;
};

class ProcessTable {
 public:
  static constexpr size_t kMax = 1024;  // of a jail with more, the smallest are summed only

  ~ProcessTable();

  // `root`: the jail's. `ancestor`: from whom its processes descend, where /proc lists others too; else 0.
  bool Open(int root, pid_t ancestor = 0);

  // Looks at all of them but pid 1, which is ours. How many there can be is the plan's processesMax.
  void Read();

  uint64_t bytes() const { return bytes_; }
  uint32_t tasks() const { return tasks_; }  // processes and threads
  // The biggest of those that were read, descending.
  size_t count() const { return count_; }
  const ProcessEntry& operator[](size_t i) const { return entries_[i]; }
  int proc() const { return processes_->fd(); }
  bool ok() const { return processes_ != nullptr && processes_->ok(); }

  // Name and command line of one, for an event.
  ProcessFacts Facts(pid_t pid) const;

  // Ticks of processor time of all of them and those they waited for, pid 1 included.
  void ReadTicks(uint64_t* user, uint64_t* system);

 private:
  bool IsOurs(const char* pid) const;
  void Keep(const ProcessEntry& entry);

  ProcNumbers* processes_ = nullptr;
  pid_t ancestor_ = 0;
  ProcessEntry entries_[kMax];
  size_t count_ = 0;
  uint64_t bytes_ = 0;
  uint32_t tasks_ = 0;
};

}  // namespace qi
