// Acts that a chain of system calls cannot express: another instruction, another thread, a look at oneself.
#pragma once
#include <fcntl.h>
#include <sched.h>

#include <thread>

#include "act_report.h"

namespace act {

// getpid(2) by the 32-bit entry, whose numbers mean other calls.
inline void I386Call(const Words&) {
#ifdef __x86_64__
  long result;
  asm volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
  result < 0 ? Failed(static_cast<int>(-result), nullptr) : Done("%s", result == getpid() ? "getpid" : "something");
#else
  Failed(ENOSYS, nullptr);
#endif
}

// Every open descriptor by number.
inline void Descriptors(const Words&) {
  std::string open_ones;
  for (int fd = 0; fd < 65536; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) open_ones += (open_ones.empty() ? "" : " ") + std::to_string(fd);
  }
  Done("%s", open_ones.c_str());
}

// `DIR ARG…`: runs the act from a thread that has its own working directory and descriptor table.
inline void InOwnThread(const Words& words, void (*run)(const Words&)) {
  std::thread([&] {
    if (unshare(CLONE_FS | CLONE_FILES) != 0 || chdir(words.at(0).c_str()) != 0) return Failed(errno, "thread");
    run(Words(words.begin() + 1, words.end()));
  }).join();
}

}  // namespace act
