#include "gateway/inspector.h"

#include <sys/socket.h>

#include <new>

#include "gateway/inspector_connection.h"
#include "gateway/outside.h"
#include "gateway/reach.h"

namespace qi {
namespace {

constexpr size_t kFirstRoom = 4096;
constexpr unsigned kMaxReads = 2048;  // all is read again with each piece: many small ones would be a lot of work

}  // namespace

Inspector::Inspector(Poller* poller, Link* link, const Rules& rules, const Records& records, uint32_t patience_ms)
    : poller_(poller), link_(link), rules_(rules), records_(records), patience_ms_(patience_ms) {}

Inspector::~Inspector() {
  for (Connection* c : connections_) delete c;
}

bool Inspector::Add(int listener) {
  if (listener_count_ == kMaxListeners) return false;
  auto index = static_cast<uint16_t>(2 * kMax + listener_count_);
  listeners_[listener_count_++] = listener;
  return poller_->Watch(this, listener, EPOLLIN, {index, 0});
}

// What finds no place waits in the kernel's queue.
void Inspector::WatchListeners() {
  bool room = count_ < max_ && reading_ < kMaxReading;
  if (room == listening_) return;
  listening_ = room;
  for (size_t i = 0; i < listener_count_; ++i) {
    if (room)
      (void)poller_->Watch(this, listeners_[i], EPOLLIN, {static_cast<uint16_t>(2 * kMax + i), 0});  // was in it before
    else
      poller_->Forget(listeners_[i]);
  }
}

void Inspector::OnReady(Token token, uint32_t events) {
  if (token.index >= 2 * kMax) return Accept(listeners_[token.index - 2 * kMax]);
  Connection* c = connections_[token.index / 2];
  if (c == nullptr || c->generation != token.generation) return;
  switch (c->state) {
    case State::kReading:
      return Read(c);
    case State::kConnecting:
      return OnConnected(c);
    case State::kSending:
      return (events & EPOLLERR) != 0 ? End(c, false) : SendFirst(c);
    case State::kRelaying:
      return (events & EPOLLERR) != 0 ? End(c, false) : Relay(c);
  }
}

void Inspector::Accept(int listener) {
  if (!listening_) return;
  UniqueFd fd(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  Connection* c = fd ? new (std::nothrow) Connection : nullptr;
  if (c == nullptr) return;
  while (connections_[c->index] != nullptr) ++c->index;
  connections_[c->index] = c;
  c->fd[kInside] = std::move(fd);
  c->generation = ++generation_;
  ++count_;
  ++reading_;
  WatchListeners();
  if (!Begin(c)) End(c, false);
}

// False: it cannot be served. In the jail a connection to any address ends here; the local address is that address.
bool Inspector::Begin(Connection* c) {
  sockaddr_storage local;
  socklen_t size = sizeof(local);
  if (getsockname(c->fd[kInside].get(), reinterpret_cast<sockaddr*>(&local), &size) != 0) return false;
  if (!FromSockaddr(&local, size, &c->to, &c->port)) return false;
  c->until_ms = NowMs() + patience_ms_;
  poller_->WakeAt(this, c->until_ms);
  c->first = static_cast<uint8_t*>(malloc(kFirstRoom));
  c->room = c->first == nullptr ? 0 : kFirstRoom;
  if (c->room == 0 || !Want(c, kInside, EPOLLIN)) return false;
  // qi-monitor let it come here, but there are other ways to the jail's own loopback.
  Judgement judgement = rules_.Judge(c->to, c->port, Transport::kTcp, records_, NowMs());
  if (!judgement.allowed) Refuse(c, SaidHost(), judgement.reason);
  return true;
}

void Inspector::Read(Connection* c) {
  if (++c->reads > kMaxReads) return Refuse(c, SaidHost(), "it says in too many pieces where to");
  if (c->size == c->room) {
    auto* grown = c->room < kMaxFirstBytes ? static_cast<uint8_t*>(realloc(c->first, c->room * 2)) : nullptr;
    if (grown == nullptr) return Refuse(c, SaidHost(), "it does not say in time where to");
    c->first = grown;
    c->room *= 2;
  }
  ssize_t n = recv(c->fd[kInside].get(), c->first + c->size, c->room - c->size, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return End(c, true);  // it changed its mind
  c->size += static_cast<size_t>(n);
  SaidHost said;
  if (ReadSaidHost(c->first, c->size, &said)) Decide(c, said);
}

void Inspector::Decide(Connection* c, const SaidHost& said) {
  if (const char* reason = WhyNot(*c, said)) return Refuse(c, said, reason);
  Connect(c);
}

// Why what was said is not where the connection was let through to; nullptr when it is.
const char* Inspector::WhyNot(const Connection& c, const SaidHost& said) const {
  if (said.fault != nullptr) return said.fault;
  uint64_t now = NowMs();
  // Judged by the said name alone: another name of the same address may have been allowed another port.
  Records only;
  if (said.is_address) {
    if (!(said.address == c.to)) return "it names another address than it is connected to";
  } else {
    const Record* record = records_.Next(c.to, now);
    while (record != nullptr && !(record->name == said.name)) record = records_.Next(c.to, now, record);
    if (record == nullptr) return "it names another host than it is connected to";
    only.Add(*record, now);
    Judgement by_name = rules_.JudgeName(said.name);
    if (!by_name.allowed) return by_name.reason;
  }
  Judgement judgement = JudgeReach(rules_, c.to, c.port, Transport::kTcp, only, now);
  return judgement.allowed ? nullptr : judgement.reason;
}

void Inspector::Refuse(Connection* c, const SaidHost& said, const char* reason) {
  const Record* record = records_.Next(c->to, NowMs());
  GatewayMessage message =
      MessageOf(GatewayMessageType::kRefusedHello, record != nullptr ? record->name : Name(), reason);
  message.said = said.name;
  if (said.is_address) {
    char text[INET6_ADDRSTRLEN];
    FormatAddress(said.address, text);
    message.said = Shown(text);
  }
  message.address = c->to;
  message.port = c->port;
  (void)link_->Tell(message);  // it is cut either way
  End(c, false);
}

uint64_t Inspector::OnTime(uint64_t now_ms) {
  uint64_t next = kNever;
  for (Connection* c : connections_) {
    if (c == nullptr || c->state != State::kReading) continue;
    if (c->until_ms <= now_ms)
      Refuse(c, SaidHost(), "it does not say in time where to");
    else if (c->until_ms < next)
      next = c->until_ms;
  }
  return next;
}

}  // namespace qi
