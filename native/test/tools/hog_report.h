// What a hog says and when it stops. Runs in: the payload of a limits test, or bare for its control.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "core/errno_names.h"

namespace hog {

struct Request {
  uint64_t bound;    // bytes or pieces, as the verb has it
  const char* word;  // the verb's own argument, or empty
  bool hold;         // keep it until the deadline
  unsigned seconds;  // until the deadline
  timespec began;
};

inline Request request;

constexpr uint64_t kMiB = 1 << 20;

// By write(2): what is reached must be out before whatever comes next ends the process.
[[gnu::format(printf, 1, 2)]] inline void Say(const char* format, ...) {
  char text[300];
  va_list arguments;
  va_start(arguments, format);
  int n = vsnprintf(text, sizeof(text) - 1, format, arguments);
  va_end(arguments);
  if (n > static_cast<int>(sizeof(text)) - 2) n = sizeof(text) - 2;
  text[n++] = '\n';
  (void)!write(1, text, static_cast<size_t>(n));
}

inline void Reached(uint64_t amount) { Say("reached %llu", static_cast<unsigned long long>(amount)); }

inline void SleepMs(unsigned ms) {
  timespec t = {ms / 1000, static_cast<long>(ms % 1000) * 1000000};
  (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, nullptr);
}

// Every process of a hog ends by itself, whatever signals it ignores: the guard of a jail that does not hold.
inline bool Late() {
  timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  time_t full = now.tv_sec - request.began.tv_sec - (now.tv_nsec < request.began.tv_nsec ? 1 : 0);
  return full >= static_cast<time_t>(request.seconds);
}

[[noreturn]] inline void HoldUntilLate() {
  while (!Late()) SleepMs(50);
  _exit(0);
}

// The last line, and the exit code: 0 with the bound reached, 1 when something refused before.
inline int Finish(uint64_t amount, int error) {
  Say("%s %llu", error == 0 ? "OK" : qi::ErrnoName(error), static_cast<unsigned long long>(amount));
  while (request.hold && !Late()) SleepMs(50);
  return error == 0 ? 0 : 1;
}

// Takes pieces of `size` until the bound or the first refusal; `take` returns 0 or an errno.
template <typename Take>
int TakeUntilRefused(uint64_t size, uint64_t report_every, Take take) {
  uint64_t amount = 0, told = 0;
  int error = 0;
  while (amount < request.bound && error == 0 && !Late()) {
    error = take();
    if (error == 0) amount += size;
    if (amount - told >= report_every) Reached(told = amount);
  }
  return Finish(amount, error == 0 && amount < request.bound ? ETIMEDOUT : error);
}

template <typename T>
T* SharedPage() {
  void* page = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) _exit(3);
  return static_cast<T*>(page);
}

}  // namespace hog
