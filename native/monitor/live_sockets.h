// How many of the payload's connections are still open, without holding any of them open: an epoll set forgets a file
// when its last descriptor is closed, also one that is under way in a message, and its fdinfo lists what is left.
// epoll(7), proc_pid_fdinfo(5). Runs in: monitor.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/fd.h"

namespace qi {

class LiveSockets {
 public:
  bool Init();
  enum class Added { kNo, kNew, kBefore };
  // kBefore: the same file, under the same number, from an attempt before. kNo: what cannot be counted must not be.
  Added Add(int socket, uint64_t mark);
  void Remove(int socket);  // while it still has the number that it was added with
  // Open files added with this mark, each once.
  size_t Count(uint64_t mark) const;
  // False when `max` (0: any number) are open. Cheap while fewer than that were ever added.
  bool Room(uint32_t max);

 private:
  UniqueFd epoll_;
  size_t at_most_ = 0;  // additions since the last count
};

}  // namespace qi
