// connect(2) on the payload's sockets by qi-monitor, which must not wait for anybody: it starts the attempt, and where
// the caller would wait, keeps the caller waiting and serves others meanwhile. Runs in: monitor.
#pragma once
#include "core/fd.h"
#include "monitor/jail.h"
#include "monitor/live_sockets.h"
#include "monitor/notify.h"

namespace qi {

// Once per process, before the first connect: a payload can make its socket a blocking one between any two calls of
// qi-monitor's, so a timer interrupts the wait (connect(2): EINTR leaves the attempt going).
bool PrepareConnects();

// As connect(2) of a socket that does not block, whatever the socket's flags are: EINPROGRESS, or EAGAIN for a local
// one whose listener is busy. `blocking`: whether the caller would have waited.
int ConnectWithoutWaiting(int socket, const void* address, socklen_t length, bool* blocking);

// For root the payload has a host user of its own, and qi-monitor acts on files as it. A listed socket of the host is
// the caller's to reach: between Take and Return files are reached as the caller, without any capability.
class CallerIds {
 public:
  explicit CallerIds(const Jail& jail) : jail_(jail) {}
  void Take() const;
  void Return() const;  // ends the process, and with it the jail, where it cannot

 private:
  const Jail& jail_;
};

// A connect to a local socket, to be tried again while its listener is busy.
struct LocalConnect {
  UniqueFd target;                 // what the address names, where nobody else keeps it open
  const CallerIds* ids = nullptr;  // null: as the payload

  // As ConnectWithoutWaiting.
  int Try(int socket, const Address& address, bool* blocking) const;
};

// The connects whose callers wait.
class PendingConnects {
 public:
  PendingConnects(Notify* notify, LiveSockets* live) : notify_(notify), live_(live) {}
  ~PendingConnects();

  bool Init();
  // Readable when Serve has something to do.
  int fd() const { return epoll_.get(); }

  // Takes `socket`, whose attempt goes on. `live`: counted for this attempt, and no more when it fails. False when
  // there are too many.
  bool Add(uint64_t id, pid_t tid, UniqueFd socket, const Address& address, bool live);
  // The same for a local socket whose listener is busy. No event tells when it no longer is: each tick tries again.
  bool AddLocal(uint64_t id, pid_t tid, UniqueFd socket, const Address& address, LocalConnect* local);
  void Serve();

 private:
  static constexpr uint32_t kMax = 1024;
  struct Item {
    uint64_t id;  // of the notification; 0: free
    uint64_t deadline_ns;
    pid_t tid;
    int socket;
    bool live;
    bool signalled;  // at the last tick a signal waited
    bool local;
    int target;  // as in LocalConnect; -1: none
    const CallerIds* ids;
    Address address;
  };

  Item* Take(uint64_t id, pid_t tid, UniqueFd socket, const Address& address);
  void TryLocal(uint32_t index);
  void Look(uint32_t index);
  void Tick();
  void Finish(uint32_t index, int error);
  void Drop(uint32_t index);
  void Arm(bool on);

  Notify* notify_;
  LiveSockets* live_;
  UniqueFd epoll_;
  UniqueFd timer_;
  Item* items_ = nullptr;
  uint64_t most_ = 0;  // that wait at once: each holds a descriptor, and others need some too
  uint32_t used_ = 0;  // items_[0, used_) may be taken
  uint32_t waiting_ = 0;
  uint32_t turn_ = 0;  // of the local ones, the first to be tried at the next tick
};

}  // namespace qi
