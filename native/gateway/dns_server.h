// The jail's name server: answers for allowed names what the host's resolvers say, less what no name may lead to, and
// tells qi-monitor before it answers. Runs in: gateway.
#pragma once
#include "gateway/dns_cache.h"
#include "gateway/dns_tcp.h"
#include "gateway/link.h"
#include "gateway/name_gate.h"
#include "gateway/upstream.h"
#include "network/records.h"

namespace qi {

class DnsServer final : public Handler, public QuerySink, public UpstreamClient {
 public:
  static constexpr size_t kMaxLookups = 192;  // names being looked up or asked for
  static constexpr size_t kMaxAsked = 64;
  static constexpr size_t kMaxWaiters = 512;  // queries that wait for them
  static constexpr uint32_t kHostsTtl = 60;
  static constexpr uint32_t kGraceSeconds = 300;  // an address stays connectable this long after its TTL

  DnsServer(Poller* poller, Link* link, const Rules& rules, Records* records, const Resolver& resolver,
            const DnsTimes& times = DnsTimes());
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  bool Init();
  bool AddUdp(int socket);    // both stay the caller's
  bool AddTcp(int listener);  // and are non-blocking

  void OnHostAnswer(uint32_t number, bool allowed);
  void OnRulesChanged() { gate_.ForgetAnswers(); }

  void OnReady(Token token, uint32_t events) override;
  uint64_t OnTime(uint64_t now_ms) override;
  void OnQuery(const DnsClient& client, const uint8_t* bytes, size_t size) override;
  void OnAnswer(uint16_t ticket, AnswerResult result, DnsData* data) override;

 private:
  static constexpr size_t kMaxSockets = 4;
  struct Waiter;
  struct Lookup;
  // What became of a lookup, for everybody who waits for it.
  struct Outcome {
    Rcode rcode = Rcode::kNoError;
    bool silent = false;     // qi-monitor could not be told, so nobody is
    char reason[96] = "";    // why it is refused
    IpAddress address = {};  // because of this one
  };

  void Resolve(const DnsClient& client, const DnsQuery& query, const Name& judged);
  bool FromHosts(const DnsQuery& query, const Name& judged, DnsData* data, Outcome* outcome);
  Outcome Vet(const Name& judged, AnswerResult result, DnsData* data);
  bool VetAddresses(DnsData* data, Outcome* outcome);
  bool TellResolved(const Name& judged, const DnsData& data, bool trusted);

  // dns_lookups.cc: queries that wait for a resolver or for the host.
  void Wait(const DnsClient& client, const DnsQuery& query, const Name& judged, bool ask);
  Lookup* Find(const DnsQuery& query, bool ask) const;
  Lookup* Start(const DnsQuery& query, const Name& judged, bool ask);
  bool AskHost(Lookup* lookup);
  Waiter* End(size_t index);
  void EndAsked(uint32_t number, bool allowed, const char* reason);

  // False when qi-monitor could not be told.
  bool TellRefused(const DnsClient& client, const DnsQuery& query, const char* reason, const IpAddress& address,
                   bool permitted);
  void Refuse(const DnsClient& client, const DnsQuery& query, const char* reason);
  void Reply(const DnsClient& client, const DnsQuery& query, const Outcome& outcome, const DnsData& data);
  void Respond(const DnsClient& client, const DnsQuery& query, Rcode rcode, const DnsData& data);

  Poller* poller_;
  Link* link_;
  const Rules& rules_;
  Records* records_;
  const Resolver& resolver_;
  DnsTimes times_;
  NameGate gate_;
  DnsCache cache_;
  Upstream upstream_;
  DnsTcp tcp_;
  int sockets_[kMaxSockets] = {};
  size_t socket_count_ = 0;
  Lookup* lookups_[kMaxLookups] = {};
  size_t waiter_count_ = 0;
  uint32_t ask_number_ = 0;
};

}  // namespace qi
