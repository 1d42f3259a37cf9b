// One epoll set and one clock for everything the gateway does. What is watched is named by a handler, an index in the
// handler's table and a generation, never by a pointer: within one batch of events an earlier one may end what a later
// one is about. Runs in: gateway.
#pragma once
#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>

#include "core/fd.h"
#include "monitor/jail.h"

namespace qi {

constexpr uint64_t kNever = UINT64_MAX;
inline uint64_t NowMs() { return NowNs() / 1000000; }

struct Token {
  uint16_t index = 0;
  uint32_t generation = 0;
};

// Not pure: what the C++ runtime calls for a pure one would be half of the executable.
class Handler {
 public:
  virtual void OnReady(Token, uint32_t /*events*/) {}
  // Does what is due and returns when to be called next.
  virtual uint64_t OnTime(uint64_t /*now_ms*/) { return kNever; }

 protected:
  ~Handler() = default;

 private:
  friend class Poller;
  uint8_t id_ = 0;
  uint64_t wake_ms_ = kNever;
};

class Poller {
 public:
  bool Open();
  // What happened to the handler that was registered first is told first: rules come before what they decide.
  bool Register(Handler* handler);
  bool Watch(const Handler* handler, int fd, uint32_t events, Token token);
  bool Change(const Handler* handler, int fd, uint32_t events, Token token);
  void Forget(int fd);  // a closed descriptor need not be forgotten
  void WakeAt(Handler* handler, uint64_t when_ms);

  // Waits for events, at most `max_ms`, and hands them out. False: epoll does not work any more.
  bool Step(uint64_t max_ms = kNever);

 private:
  static constexpr size_t kMaxHandlers = 8;

  bool Control(int operation, const Handler* handler, int fd, uint32_t events, Token token);
  int Timeout(uint64_t max_ms) const;

  UniqueFd epoll_;
  Handler* handlers_[kMaxHandlers] = {};
  size_t count_ = 0;
};

}  // namespace qi
