// The opposite of a hog: someone else on the same host, who wants a little of everything and counts how often it gets
// it.
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "hog_report.h"

namespace hog {

inline bool Tick() {
  constexpr size_t kSize = 1 << 16;
  void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  memset(memory, 1, kSize);
  (void)munmap(memory, kSize);
  int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  char text[64];
  bool read_some = fd >= 0 && read(fd, text, sizeof(text)) > 0;
  (void)close(fd);
  pid_t child = fork();
  if (child == 0) _exit(0);
  return read_some && child > 0 && waitpid(child, nullptr, 0) == child;
}

// `ticks N`: how many since the last line, about ten lines a second, until standard input ends or N seconds are over.
inline int Ticks() {
  request.seconds = static_cast<unsigned>(request.bound);
  while (!Late()) {
    unsigned done = 0, failed = 0;
    timespec began, now;
    (void)clock_gettime(CLOCK_MONOTONIC, &began);
    do {
      ++(Tick() ? done : failed);
      SleepMs(2);
      (void)clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000 < 100);
    auto us = (now.tv_sec - began.tv_sec) * 1000000 + (now.tv_nsec - began.tv_nsec) / 1000;
    Say("ticks %u failed %u us %ld", done, failed, static_cast<long>(us));
    if (fcntl(0, F_SETFL, O_NONBLOCK) == 0 && read(0, &began, 1) == 0) break;
  }
  return 0;
}

}  // namespace hog
