#include "gateway/upstream.h"

#include <sys/socket.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "gateway/outside.h"

namespace qi {

struct Upstream::Question {
  Name name;
  uint16_t type = 0, ticket = 0, id = 0, index = 0;
  uint32_t generation = 0;
  unsigned tries = 0;
  uint64_t try_until_ms = 0, until_ms = 0;
  UniqueFd fd;
  bool tcp = false;
  uint8_t out[2 + 512];  // with TCP's length before it
  size_t out_size = 0, sent = 0;
  uint8_t* in = nullptr;  // TCP
  size_t in_size = 0;

  ~Question() { free(in); }
  size_t server(const Resolver& resolver) const { return (tries - 1) % resolver.server_count; }
};

Upstream::Upstream(Poller* poller, const Resolver& resolver, const DnsTimes& times, UpstreamClient* client)
    : poller_(poller), resolver_(resolver), times_(times), client_(client) {}

Upstream::~Upstream() {
  for (Question* q : questions_) delete q;
}

bool Upstream::Ask(const Name& name, uint16_t type, uint16_t ticket) {
  if (resolver_.server_count == 0) return false;
  size_t index = 0;
  while (index < kMax && questions_[index] != nullptr) ++index;
  if (index == kMax) return false;
  Question* q = new (std::nothrow) Question;
  if (q == nullptr) return false;
  questions_[index] = q;
  q->name = name;
  q->type = type;
  q->ticket = ticket;
  q->index = static_cast<uint16_t>(index);
  q->until_ms = NowMs() + times_.total_ms;
  q->try_until_ms = 0;  // a try that cannot even start is noticed when the time is next looked at
  (void)StartTry(q);
  poller_->WakeAt(this, q->try_until_ms);
  return true;
}

// A new socket and a new id for every try: a forger has to guess 16 bits of each (RFC 5452).
bool Upstream::StartTry(Question* q) {
  ++q->tries;
  q->tcp = false;
  q->generation = ++generation_;
  q->id = static_cast<uint16_t>(RandomNumber());
  q->out_size = BuildUpstreamQuery(q->id, q->name, q->type, q->out + 2, sizeof(q->out) - 2);
  q->fd = ConnectOutside(resolver_.servers[q->server(resolver_)], resolver_.port, SOCK_DGRAM);
  q->try_until_ms = 0;
  if (!q->fd || q->out_size == 0 || !poller_->Watch(this, q->fd.get(), EPOLLIN, {q->index, q->generation}))
    return false;
  if (send(q->fd.get(), q->out + 2, q->out_size, MSG_NOSIGNAL) < 0) return false;
  q->try_until_ms = NowMs() + times_.try_ms;
  poller_->WakeAt(this, q->try_until_ms);
  return true;
}

bool Upstream::StartTcp(Question* q) {
  q->tcp = true;
  q->generation = ++generation_;
  q->fd = ConnectOutside(resolver_.servers[q->server(resolver_)], resolver_.port, SOCK_STREAM);
  q->sent = q->in_size = 0;
  if (q->in == nullptr) q->in = static_cast<uint8_t*>(malloc(2 + kDnsMaxSize));
  q->out[0] = static_cast<uint8_t>(q->out_size >> 8);
  q->out[1] = static_cast<uint8_t>(q->out_size);
  q->try_until_ms = NowMs() + times_.try_ms;
  poller_->WakeAt(this, q->try_until_ms);
  return q->in != nullptr && q->fd && poller_->Watch(this, q->fd.get(), EPOLLOUT, {q->index, q->generation});
}

void Upstream::NextTry(Question* q) {
  unsigned tries = kTries > resolver_.server_count ? kTries : static_cast<unsigned>(resolver_.server_count);
  while (q->tries < tries && NowMs() < q->until_ms) {
    if (StartTry(q)) return;
  }
  DnsData none;
  Finish(q, AnswerResult::kServerFailure, &none);
}

void Upstream::OnReady(Token token, uint32_t events) {
  Question* q = token.index < kMax ? questions_[token.index] : nullptr;
  if (q == nullptr || q->generation != token.generation) return;
  if (q->tcp)
    OnStream(q, events);
  else
    OnDatagram(q);
}

void Upstream::OnDatagram(Question* q) {
  uint8_t bytes[kDnsMaxUdpSize];
  ssize_t n = recv(q->fd.get(), bytes, sizeof(bytes), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) return NextTry(q);  // nobody is listening there, says the network
  Take(q, bytes, static_cast<size_t>(n));
}

void Upstream::OnStream(Question* q, uint32_t events) {
  if (q->sent < q->out_size + 2) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) return NextTry(q);
    ssize_t n = send(q->fd.get(), q->out + q->sent, q->out_size + 2 - q->sent, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN ? void() : NextTry(q);
    q->sent += static_cast<size_t>(n);
    if (q->sent == q->out_size + 2) (void)poller_->Change(this, q->fd.get(), EPOLLIN, {q->index, q->generation});
    return;
  }
  size_t want = q->in_size < 2 ? 2 : 2 + (static_cast<size_t>(q->in[0]) << 8 | q->in[1]);
  ssize_t n = recv(q->fd.get(), q->in + q->in_size, want - q->in_size, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return NextTry(q);
  q->in_size += static_cast<size_t>(n);
  if (q->in_size < want || want == 2) return;  // level-triggered: the rest is told of again
  Take(q, q->in + 2, want - 2);
}

void Upstream::Take(Question* q, const uint8_t* bytes, size_t size) {
  DnsData data;
  switch (AnswerResult result = ParseAnswer(bytes, size, q->id, q->name, q->type, &data)) {
    case AnswerResult::kData:
    case AnswerResult::kNoData:
    case AnswerResult::kNxDomain:
      return Finish(q, result, &data);
    case AnswerResult::kTruncated:
      if (q->tcp || !StartTcp(q)) NextTry(q);
      return;
    case AnswerResult::kNotMine:
      if (q->tcp) NextTry(q);  // there is one question on this connection; over UDP, the right one may still come
      return;
    case AnswerResult::kServerFailure:
    case AnswerResult::kMalformed:
      return NextTry(q);
  }
}

void Upstream::Finish(Question* q, AnswerResult result, DnsData* data) {
  uint16_t ticket = q->ticket;
  questions_[q->index] = nullptr;
  delete q;
  client_->OnAnswer(ticket, result, data);
}

uint64_t Upstream::OnTime(uint64_t now_ms) {
  for (Question* q : questions_) {
    if (q != nullptr && (q->try_until_ms <= now_ms || q->until_ms <= now_ms)) NextTry(q);
  }
  uint64_t next = kNever;
  for (const Question* q : questions_) {
    if (q == nullptr) continue;
    uint64_t until = q->try_until_ms < q->until_ms ? q->try_until_ms : q->until_ms;
    if (until < next) next = until;
  }
  return next;
}

}  // namespace qi
