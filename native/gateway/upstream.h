// Questions to the host's own resolvers: over UDP from a port of its own each, over TCP when the answer was cut.
// Runs in: gateway.
#pragma once
#include "gateway/poller.h"
#include "gateway/resolver.h"
#include "network/dns_message.h"

namespace qi {

struct DnsTimes {
  uint32_t try_ms = 2000;    // for one server to answer
  uint32_t total_ms = 6000;  // for a name
  uint32_t idle_ms = 10000;  // a client's TCP connection that says nothing
};

class UpstreamClient {
 public:
  // kData, kNoData, kNxDomain, or kServerFailure when no server knew or answered.
  virtual void OnAnswer(uint16_t, AnswerResult, DnsData*) {}

 protected:
  ~UpstreamClient() = default;
};

class Upstream final : public Handler {
 public:
  static constexpr size_t kMax = 128;
  static constexpr unsigned kTries = 3;

  Upstream(Poller* poller, const Resolver& resolver, const DnsTimes& times, UpstreamClient* client);
  ~Upstream();
  Upstream(const Upstream&) = delete;
  Upstream& operator=(const Upstream&) = delete;

  // The client hears of it later, with `ticket`, never from inside this call. False: too many at once, or no server.
  bool Ask(const Name& name, uint16_t type, uint16_t ticket);

  void OnReady(Token token, uint32_t events) override;
  uint64_t OnTime(uint64_t now_ms) override;

 private:
  struct Question;

  bool StartTry(Question* q);
  bool StartTcp(Question* q);
  void NextTry(Question* q);
  void OnDatagram(Question* q);
  void OnStream(Question* q, uint32_t events);
  void Take(Question* q, const uint8_t* bytes, size_t size);
  void Finish(Question* q, AnswerResult result, DnsData* data);

  Poller* poller_;
  const Resolver& resolver_;
  const DnsTimes& times_;
  UpstreamClient* client_;
  Question* questions_[kMax] = {};
  uint32_t generation_ = 0;
};

}  // namespace qi
