// Those that do not want to end, or to be found.
#pragma once
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cstring>

#include "hog_report.h"

namespace hog {

// Every signal that can be is ignored and held back, in this process and `bound` children.
inline int Deaf() {
  for (int number = 1; number < NSIG; ++number) (void)signal(number, SIG_IGN);
  sigset_t all;
  sigfillset(&all);
  (void)sigprocmask(SIG_BLOCK, &all, nullptr);
  for (uint64_t i = 0; i < request.bound; ++i) {
    pid_t child = fork();
    if (child < 0) return Finish(i, errno);
    if (child > 0) continue;
    (void)setsid();
    HoldUntilLate();
  }
  Say("ready");
  HoldUntilLate();
}

inline int Stopped() {
  for (uint64_t i = 0; i < request.bound; ++i)
    if (fork() == 0) {
      (void)raise(SIGSTOP);
      HoldUntilLate();
    }
  Say("ready");
  (void)raise(SIGSTOP);
  HoldUntilLate();
}

// Another name in every place that has one, and nothing of it readable by its own user.
inline bool Rename(int argc, char** argv) {
  request.word = strdup(request.word);
  for (int i = 0; i < argc; ++i) memset(argv[i], i == 0 ? 'x' : 0, strlen(argv[i]));
  return prctl(PR_SET_NAME, "kworker/0:1") == 0 && prctl(PR_SET_DUMPABLE, 0) == 0;
}

}  // namespace hog
