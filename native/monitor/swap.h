// Moving a socket of the payload to another network namespace. A socket belongs to one for life, so a fresh one takes
// its place: under every number it has in the calling process, in every epoll set it waits in, with the options set so
// far. Runs in: monitor.
#pragma once
#include "core/fd.h"
#include "monitor/notify.h"

namespace qi {

class Swap {
 public:
  // `old`: qi-monitor's duplicate of the socket to replace; `root`: the jail's root.
  Swap(Notify* notify, const seccomp_notif& request, int old, int root)
      : notify_(notify), request_(request), old_(old), root_(root) {}

  // Finds every place and gives `fresh` the options of the old socket. False when it cannot be moved: `rule` says why.
  bool Prepare(int fresh, const char** rule);

  // Puts `fresh` there, after whatever was to be done with it. Returns 0 or an errno.
  int Install(int fresh);

 private:
  static constexpr size_t kMaxPlaces = 64;
  struct Watch {
    int epoll;  // number in the caller
    int fd;
    uint32_t events;
    uint64_t data;
  };

  bool ScanProcess(const char* pid, bool caller);
  void ScanEpoll(const char* pid, int number);
  bool MoveWatches(int fresh);

  Notify* notify_;
  const seccomp_notif& request_;
  int old_;
  int root_;
  uint64_t inode_ = 0;
  uint64_t device_ = 0;
  int places_[kMaxPlaces];
  bool close_on_exec_[kMaxPlaces];
  size_t place_count_ = 0;
  Watch watches_[kMaxPlaces];
  size_t watch_count_ = 0;
  size_t looked_ = 0;
  const char* fault_ = nullptr;
};

}  // namespace qi
