#include "gateway/poller.h"

#include <climits>

namespace qi {

bool Poller::Open() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  return static_cast<bool>(epoll_);
}

bool Poller::Register(Handler* handler) {
  if (count_ == kMaxHandlers) return false;
  handler->id_ = static_cast<uint8_t>(count_);
  handlers_[count_++] = handler;
  return true;
}

bool Poller::Control(int operation, const Handler* handler, int fd, uint32_t events, Token token) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = static_cast<uint64_t>(handler->id_) << 56 | static_cast<uint64_t>(token.index) << 32 |
                   static_cast<uint64_t>(token.generation);
  return epoll_ctl(epoll_.get(), operation, fd, &event) == 0;
}

bool Poller::Watch(const Handler* handler, int fd, uint32_t events, Token token) {
  return Control(EPOLL_CTL_ADD, handler, fd, events, token);
}

bool Poller::Change(const Handler* handler, int fd, uint32_t events, Token token) {
  return Control(EPOLL_CTL_MOD, handler, fd, events, token);
}

void Poller::Forget(int fd) { (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }  // not in the set: as well

void Poller::WakeAt(Handler* handler, uint64_t when_ms) {
  if (when_ms < handler->wake_ms_) handler->wake_ms_ = when_ms;
}

int Poller::Timeout(uint64_t max_ms) const {
  uint64_t now = NowMs();
  uint64_t wait = max_ms;
  for (size_t i = 0; i < count_; ++i) {
    uint64_t wake = handlers_[i]->wake_ms_;
    if (wake == kNever) continue;
    uint64_t left = wake > now ? wake - now : 0;
    if (left < wait) wait = left;
  }
  if (wait == kNever) return -1;
  return wait > INT_MAX ? INT_MAX : static_cast<int>(wait);
}

bool Poller::Step(uint64_t max_ms) {
  epoll_event ready[32];
  int n = epoll_wait(epoll_.get(), ready, 32, Timeout(max_ms));
  if (n < 0 && errno != EINTR) return false;
  for (bool first : {true, false}) {
    for (int i = 0; i < n; ++i) {
      uint64_t data = ready[i].data.u64;
      if ((data >> 56 == 0) != first) continue;
      Token token;
      token.index = static_cast<uint16_t>(data >> 32);
      token.generation = static_cast<uint32_t>(data);
      handlers_[data >> 56]->OnReady(token, ready[i].events);
    }
  }
  uint64_t now = NowMs();
  for (size_t i = 0; i < count_; ++i) {
    Handler* handler = handlers_[i];
    if (handler->wake_ms_ > now) continue;
    handler->wake_ms_ = kNever;
    WakeAt(handler, handler->OnTime(now));
  }
  return true;
}

}  // namespace qi
