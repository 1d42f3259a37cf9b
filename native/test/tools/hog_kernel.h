// Too many things of the kernel's, each of which costs it memory. The bound is their number.
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

#include "hog_report.h"

namespace hog {

inline int Descriptors() {
  return TakeUntilRefused(1, 1000, [] { return dup(1) < 0 ? errno : 0; });
}

inline int EventFds() {
  return TakeUntilRefused(1, 1000, [] { return eventfd(0, EFD_CLOEXEC) < 0 ? errno : 0; });
}

inline int Timers() {
  return TakeUntilRefused(1, 1000, [] {
    timer_t timer;
    sigevent none = {};
    none.sigev_notify = SIGEV_NONE;
    return timer_create(CLOCK_MONOTONIC, &none, &timer) != 0 ? errno : 0;
  });
}

// Watches are by file, so each has one of its own, in the folder `word`: a watch ends with its file.
inline void WatchPath(char (&path)[300], uint64_t number) {
  snprintf(path, sizeof(path), "%s/watch-%llu", request.word, static_cast<unsigned long long>(number));
}

inline int Watches() {
  static int queue = inotify_init1(IN_CLOEXEC);
  static uint64_t next = 0;
  if (queue < 0) return Finish(0, errno);
  int code = TakeUntilRefused(1, 1000, [] {
    char path[300];
    WatchPath(path, next++);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return errno;
    (void)close(fd);
    return inotify_add_watch(queue, path, IN_MODIFY) < 0 ? errno : 0;
  });
  for (char path[300]; next > 0;) {
    WatchPath(path, --next);
    (void)unlink(path);
  }
  return code;
}

// A thousand descriptors in as many sets as it takes.
inline int EpollEntries() {
  static int some[200];
  static int set = -1;
  static int used = 200;
  for (int& fd : some)
    if ((fd = eventfd(0, EFD_CLOEXEC)) < 0) return Finish(0, errno);
  return TakeUntilRefused(1, 1000, [] {
    if (used == 200) {
      if ((set = epoll_create1(EPOLL_CLOEXEC)) < 0) return errno;
      used = 0;
    }
    epoll_event event = {};
    event.events = EPOLLIN;
    return epoll_ctl(set, EPOLL_CTL_ADD, some[used++], &event) != 0 ? errno : 0;
  });
}

}  // namespace hog
