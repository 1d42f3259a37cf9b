// Whether the host has what a payload asked for and did not find: the difference between a refusal and a file that
// nobody has. Looks only, by names, with the rights that qi-monitor has for the payload, and never where a look could
// wait for another machine or start something: no automount point, no network or user-space file system but the root's
// own. Runs in: monitor.
#pragma once
#include <cstddef>

#include "core/fd.h"

namespace qi {

class HostTree {
 public:
  enum Sight {
    kNothing,  // there is no such path, or it lies where we do not look
    kThere,
    kBarred,  // permissions end the look before it
  };

  // Remembers /proc/self/mountinfo. Before qi-monitor is confined.
  void Init();

  // `canonical`: the path with links followed (the last one unless `follow` is false), as far as could be seen.
  Sight Look(const char* path, bool follow, char* canonical, size_t room);

  ~HostTree();

 private:
  bool IsShunned(const char* path);
  void ReadMounts();

  UniqueFd mountinfo_;
  char* shunned_ = nullptr;  // NUL-terminated mount points, one after the other
  size_t shunned_size_ = 0;
  bool unreadable_ = false;  // then every mount but the root's is shunned
};

}  // namespace qi
