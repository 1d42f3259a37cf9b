// Acts that use up what there is. Bounded by themselves, and only ever run where the jail's limits hold.
#pragma once
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "act_report.h"

namespace act {

// Forks until it is refused, at most 3000 times.
inline void ForkMany(const Words&) {
  constexpr int kMost = 3000;
  std::vector<pid_t> children;
  int error = 0;
  while (children.size() < kMost) {
    pid_t child = fork();
    if (child == 0) {
      (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (;;) pause();
    }
    if (child < 0) {
      error = errno;
      break;
    }
    children.push_back(child);
  }
  for (pid_t child : children) (void)kill(child, SIGKILL);
  for (pid_t child : children) (void)waitpid(child, nullptr, 0);
  error != 0 ? Failed(error, "%zu", children.size()) : Done("%zu", children.size());
}

// Duplicates descriptor 1 until it is refused, at most a million times.
inline void OpenMany(const Words&) {
  int last = 1;
  for (int i = 0; i < 1000000; ++i) {
    int fd = dup(1);
    if (fd < 0) return Failed(errno, "%d", last + 1);
    last = fd;
  }
  Done("%d", last + 1);
}

}  // namespace act
