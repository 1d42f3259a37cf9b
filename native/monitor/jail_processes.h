// Finding the process of the jail behind something that came without one. Runs in: monitor.
#pragma once
#include <cstdint>

#include "monitor/target.h"

namespace qi {

class JailProcesses {
 public:
  // `root`: the jail's root, whose /proc lists the jail's processes and nothing else.
  void SetRoot(int root) { root_ = root; }

  // The process that holds the UDP socket bound to `port` on IPv4. False when there is none (any more). `facts` has the
  // number that the jail knows it by, its name and its command line.
  bool FindUdp(uint16_t port, ProcessFacts* facts) const;

 private:
  bool Holds(const char* pid, const char* socket, size_t* looked) const;

  int root_ = -1;
};

}  // namespace qi
