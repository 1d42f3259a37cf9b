#include "gateway/dns_tcp.h"

#include <sys/uio.h>

#include <cstring>
#include <new>

namespace qi {

struct DnsTcp::Connection {
  UniqueFd fd;
  uint32_t generation = 0;
  uint64_t heard_ms = 0;
  size_t size = 0;
  uint8_t bytes[2 + kMaxQuery];
};

DnsTcp::DnsTcp(Poller* poller, const DnsTimes& times, QuerySink* sink) : poller_(poller), times_(times), sink_(sink) {}

DnsTcp::~DnsTcp() {
  for (Connection* c : connections_) delete c;
}

bool DnsTcp::Add(int listener) {
  if (listener_count_ == kMaxListeners) return false;
  auto index = static_cast<uint16_t>(kMax + listener_count_);
  listeners_[listener_count_++] = listener;
  return poller_->Watch(this, listener, EPOLLIN, {index, 0});
}

DnsTcp::Connection* DnsTcp::Find(Token token) const {
  Connection* c = token.index < kMax ? connections_[token.index] : nullptr;
  return c != nullptr && c->generation == token.generation ? c : nullptr;
}

void DnsTcp::Close(size_t index) {
  delete connections_[index];
  connections_[index] = nullptr;
}

void DnsTcp::OnReady(Token token, uint32_t) {
  if (token.index >= kMax) return Accept(listeners_[token.index - kMax]);
  if (Connection* c = Find(token)) Read(c, token);
}

// With all places taken the quietest connection gives way: clients that only hold one cannot keep others out.
void DnsTcp::Accept(int listener) {
  UniqueFd fd(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) return;
  size_t place = 0;
  for (size_t i = 0; i < kMax && connections_[place] != nullptr; ++i) {
    if (connections_[i] == nullptr || connections_[i]->heard_ms < connections_[place]->heard_ms) place = i;
  }
  Close(place);
  Connection* c = new (std::nothrow) Connection;
  if (c == nullptr) return;
  c->fd = std::move(fd);
  c->generation = ++generation_;
  c->heard_ms = NowMs();
  connections_[place] = c;
  poller_->WakeAt(this, c->heard_ms + times_.idle_ms);
  if (!poller_->Watch(this, c->fd.get(), EPOLLIN, {static_cast<uint16_t>(place), c->generation})) Close(place);
}

void DnsTcp::Read(Connection* c, Token token) {
  ssize_t n = recv(c->fd.get(), c->bytes + c->size, sizeof(c->bytes) - c->size, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return Close(token.index);
  c->heard_ms = NowMs();
  c->size += static_cast<size_t>(n);
  DnsClient client;
  client.tcp = true;
  client.token = token;
  size_t at = 0;
  while (c->size - at >= 2) {
    size_t length = static_cast<size_t>(c->bytes[at]) << 8 | c->bytes[at + 1];
    if (length == 0 || length > kMaxQuery) return Close(token.index);
    if (c->size - at - 2 < length) break;
    sink_->OnQuery(client, c->bytes + at + 2, length);
    if (Find(token) != c) return;  // it did not take its answer
    at += 2 + length;
  }
  c->size -= at;
  memmove(c->bytes, c->bytes + at, c->size);
}

void DnsTcp::Send(Token token, const uint8_t* bytes, size_t size) {
  Connection* c = Find(token);
  if (c == nullptr) return;
  uint8_t length[2] = {static_cast<uint8_t>(size >> 8), static_cast<uint8_t>(size)};
  iovec parts[2] = {{length, 2}, {const_cast<uint8_t*>(bytes), size}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  ssize_t n = sendmsg(c->fd.get(), &message, MSG_NOSIGNAL);
  if (n != static_cast<ssize_t>(size + 2)) return Close(token.index);
  c->heard_ms = NowMs();
}

uint64_t DnsTcp::OnTime(uint64_t now_ms) {
  uint64_t next = kNever;
  for (size_t i = 0; i < kMax; ++i) {
    if (connections_[i] == nullptr) continue;
    uint64_t until = connections_[i]->heard_ms + times_.idle_ms;
    if (until <= now_ms)
      Close(i);
    else if (until < next)
      next = until;
  }
  return next;
}

}  // namespace qi
