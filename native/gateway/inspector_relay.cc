// Of Inspector: a connection that may go on, to its host and back.
#include <sys/socket.h>

#include "gateway/inspector_connection.h"
#include "gateway/outside.h"

namespace qi {

void Inspector::Connect(Connection* c) {
  c->state = State::kConnecting;
  --reading_;
  WatchListeners();
  c->fd[kOutside] = ConnectOutside(c->to, c->port, SOCK_STREAM);
  // The client may say more meanwhile; its kernel keeps that.
  if (!c->fd[kOutside] || !Want(c, kInside, 0) || !Want(c, kOutside, EPOLLOUT)) End(c, false);
}

void Inspector::OnConnected(Connection* c) {
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(c->fd[kOutside].get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return End(c, false);
  c->state = State::kSending;
  SendFirst(c);
}

void Inspector::SendFirst(Connection* c) {
  while (c->sent < c->size) {
    ssize_t n = send(c->fd[kOutside].get(), c->first + c->sent, c->size - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) return End(c, false);
    c->sent += static_cast<size_t>(n);
  }
  free(c->first);
  c->first = nullptr;
  c->state = State::kRelaying;
  Relay(c);
}

void Inspector::Relay(Connection* c) {
  int inside = c->fd[kInside].get(), outside = c->fd[kOutside].get();
  if (!c->up.Pump(inside, outside) || !c->down.Pump(outside, inside)) return End(c, false);
  if (c->up.done() && c->down.done()) return End(c, true);
  uint32_t in = (c->up.wants_to_read() ? EPOLLIN : 0u) | (c->down.wants_to_write() ? EPOLLOUT : 0u);
  uint32_t out = (c->down.wants_to_read() ? EPOLLIN : 0u) | (c->up.wants_to_write() ? EPOLLOUT : 0u);
  if (!Want(c, kInside, in) || !Want(c, kOutside, out)) End(c, false);
}

// A socket from which nothing is wanted must leave the set: the kernel tells of a hang-up whether asked to or not,
// again and again.
bool Inspector::Want(Connection* c, Side side, uint32_t events) {
  if (c->wanted[side] == events) return true;
  uint32_t before = c->wanted[side];
  c->wanted[side] = events;
  int fd = c->fd[side].get();
  Token token = {static_cast<uint16_t>(2 * c->index + side), c->generation};
  if (events == 0) {
    poller_->Forget(fd);
    return true;
  }
  return before == 0 ? poller_->Watch(this, fd, events, token) : poller_->Change(this, fd, events, token);
}

void Inspector::End(Connection* c, bool orderly) {
  if (!orderly) {
    Reset(&c->fd[kInside]);
    Reset(&c->fd[kOutside]);
  }
  if (c->state == State::kReading) --reading_;
  --count_;
  connections_[c->index] = nullptr;
  delete c;
  WatchListeners();
}

}  // namespace qi
