// Too many processes. Each child ends at the deadline by itself.
#pragma once
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>

#include "hog_report.h"

namespace hog {

// Children that do nothing, until a fork fails.
inline int Processes() {
  uint64_t count = 0;
  int error = 0;
  while (count < request.bound && error == 0) {
    pid_t child = fork();
    if (child == 0) HoldUntilLate();
    if (child < 0)
      error = errno;
    else
      Reached(++count);
  }
  int code = Finish(count, error);
  (void)signal(SIGTERM, SIG_IGN);
  (void)kill(0, SIGTERM);  // the children; nothing else shares this process group, which is of main()'s making
  return code;
}

inline int Threads() {
  uint64_t count = 0;
  int error = 0;
  while (count < request.bound && error == 0) {
    pthread_t thread;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 1 << 16);
    error = pthread_create(
        &thread, &small, [](void*) -> void* { HoldUntilLate(); }, nullptr);
    if (error == 0) Reached(++count);
  }
  return Finish(count, error);
}

struct BombState {
  std::atomic<uint64_t> forks, refused, alive, peak;
  std::atomic<bool> stop;
};

inline void CountAlive(BombState* state) {
  uint64_t alive = ++state->alive;
  for (uint64_t peak = state->peak; peak < alive && !state->peak.compare_exchange_weak(peak, alive);) continue;
}

// Each forks, and each that was forked does, too.
[[noreturn]] inline void Bomb(BombState* state) {
  CountAlive(state);
  while (!state->stop && !Late()) {
    // Its place is taken before the fork: many are about to do the same.
    bool may = ++state->forks <= request.bound;
    pid_t child = may ? fork() : 1;
    if (child == 0) CountAlive(state);
    if (child < 0) ++state->refused;
    if (!may || child < 0) --state->forks;
    if (!may) SleepMs(5);
  }
  --state->alive;
  _exit(0);
}

// Goes on for a third of the time, refused or not; on a slow machine until it is refused or all of them have begun.
inline int ForkBomb() {
  auto* state = SharedPage<BombState>();
  pid_t first = fork();
  if (first == 0) Bomb(state);
  auto most = [&] { return request.seconds * (state->refused > 0 ? 333 : 900); };
  for (unsigned ms = 0; ms < most() && state->alive < request.bound; ms += 10) SleepMs(10);
  uint64_t peak = state->peak;
  Say("refused %llu", static_cast<unsigned long long>(state->refused));
  int code = Finish(peak, state->refused > 0 ? EAGAIN : 0);
  state->stop = true;
  return code;
}

// Nobody's children: forked twice, in sessions of their own, without stdio.
inline int Daemons() {
  auto* state = SharedPage<BombState>();
  for (uint64_t i = 0; i < request.bound && state->refused == 0; ++i) {
    pid_t child = fork();
    if (child < 0) ++state->refused;
    if (child != 0) {
      while (child > 0 && waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
      continue;
    }
    (void)setsid();
    pid_t second = fork();
    if (second < 0) ++state->refused;
    if (second != 0) _exit(0);
    ++state->alive;
    for (int fd = 0; fd < 3; ++fd) (void)close(fd);
    while (!state->stop && !Late()) SleepMs(20);
    _exit(0);
  }
  SleepMs(50);
  int code = Finish(state->alive, state->refused > 0 ? EAGAIN : 0);
  state->stop = true;
  return code;
}

// Never the same process twice: each forks its successor and ends. Whoever kills them one by one comes too late.
[[noreturn]] inline void Relay(BombState* state) {
  for (;;) {
    if (state->stop || Late()) _exit(0);
    pid_t next = fork();
    if (next > 0) _exit(0);
    if (next == 0) {
      ++state->forks;
      (void)setsid();
    } else {
      ++state->refused;
      SleepMs(1);
    }
  }
}

// `bound` of them at once.
inline int Storm() {
  auto* state = SharedPage<BombState>();
  (void)signal(SIGCHLD, SIG_IGN);
  for (uint64_t i = 0; i < request.bound; ++i) {
    pid_t child;
    // The first of them are many already where nobody reaps in time.
    while ((child = fork()) < 0 && errno == EAGAIN && !Late()) SleepMs(1);
    if (child == 0) {
      for (int number = 1; number < NSIG; ++number) (void)signal(number, SIG_IGN);
      Relay(state);
    }
    if (child < 0) return Finish(i, errno);
  }
  while (state->forks < request.bound * 10 && !Late()) SleepMs(5);
  int code = Finish(state->forks, state->forks < request.bound * 10 ? ETIMEDOUT : 0);
  state->stop = true;
  return code;
}

// Children that end at once and are never waited for.
inline int Zombies() {
  return TakeUntilRefused(1, 1, [] {
    pid_t child = fork();
    if (child == 0) _exit(0);
    return child < 0 ? errno : 0;
  });
}

// Busy threads, as many as the bound.
inline int Spin() {
  static std::atomic<uint64_t> turns[64];
  for (uint64_t i = 0; i < request.bound && i < 64; ++i) {
    pthread_t thread;
    auto turn = [](void* mine) -> void* {
      while (!Late())
        for (int n = 0; n < 100000; ++n)
          static_cast<std::atomic<uint64_t>*>(mine)->fetch_add(1, std::memory_order_relaxed);
      return nullptr;
    };
    if (int error = pthread_create(&thread, nullptr, turn, &turns[i])) return Finish(i, error);
  }
  Say("spinning %llu", static_cast<unsigned long long>(request.bound));
  while (!Late()) SleepMs(20);
  timespec cpu;
  (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  return Finish(static_cast<uint64_t>(cpu.tv_sec) * 1000 + static_cast<uint64_t>(cpu.tv_nsec) / 1000000, 0);
}

}  // namespace hog
