#include "gateway/dns_server.h"

#include <cstdio>
#include <cstring>

#include "gateway/outside.h"

namespace qi {
namespace {

constexpr int kPerWakeUp = 16;  // datagrams; then it is somebody else's turn

// RFC 6761, 6.3: never asked of anybody, and the jail's own.
bool IsLocalhost(const Name& name) {
  Name localhost;
  (void)ParseName("localhost", 9, &localhost);  // a constant
  return name == localhost || IsBelow(name, localhost);
}

bool IsAnswered(uint16_t type) { return type == kDnsA || type == kDnsAaaa || type == kDnsCname; }

}  // namespace

DnsServer::DnsServer(Poller* poller, Link* link, const Rules& rules, Records* records, const Resolver& resolver,
                     const DnsTimes& times)
    : poller_(poller),
      link_(link),
      rules_(rules),
      records_(records),
      resolver_(resolver),
      times_(times),
      gate_(rules, resolver),
      upstream_(poller, resolver, times_, this),
      tcp_(poller, times_, this) {}

bool DnsServer::Init() { return poller_->Register(this) && poller_->Register(&upstream_) && poller_->Register(&tcp_); }

bool DnsServer::AddUdp(int socket) {
  if (socket_count_ == kMaxSockets) return false;
  sockets_[socket_count_] = socket;
  return poller_->Watch(this, socket, EPOLLIN, {static_cast<uint16_t>(socket_count_++), 0});
}

bool DnsServer::AddTcp(int listener) { return tcp_.Add(listener); }

void DnsServer::OnReady(Token token, uint32_t) {
  for (int i = 0; i < kPerWakeUp; ++i) {
    uint8_t bytes[DnsTcp::kMaxQuery];
    DnsClient client;
    client.token = token;
    client.from_size = sizeof(client.from);
    ssize_t n = recvfrom(sockets_[token.index], bytes, sizeof(bytes), 0, reinterpret_cast<sockaddr*>(&client.from),
                         &client.from_size);
    if (n < 0) return;
    OnQuery(client, bytes, static_cast<size_t>(n));
  }
}

void DnsServer::OnQuery(const DnsClient& client, const uint8_t* bytes, size_t size) {
  DnsQuery query;
  QueryResult parsed = ParseQuery(bytes, size, &query);
  if (parsed == QueryResult::kSilent) return;
  if (parsed == QueryResult::kBadName) return Refuse(client, query, "not a host name");
  if (parsed != QueryResult::kGood) return Respond(client, query, RcodeFor(parsed), DnsData());
  if (IsLocalhost(query.name)) return Resolve(client, query, query.name);
  Admission admission = gate_.Admit(query.name, NowMs());
  switch (admission.verdict) {
    case Admission::Verdict::kAllowed:
      // Resolved unrecorded it would be let through unseen: the program asks again.
      if (admission.permitted && !TellRefused(client, query, admission.reason, IpAddress(), true)) return;
      return Resolve(client, query, admission.judged);
    case Admission::Verdict::kAsk:
      return Wait(client, query, admission.judged, true);
    case Admission::Verdict::kRefused:
      return Refuse(client, query, admission.reason);
  }
}

// Of an allowed name. Other types are not carried: TXT is a tunnel, and HTTPS would lead past the address we know.
void DnsServer::Resolve(const DnsClient& client, const DnsQuery& query, const Name& judged) {
  DnsData data;
  Outcome outcome;
  AnswerResult result;
  if (!IsAnswered(query.type)) return Respond(client, query, Rcode::kNoError, data);
  if (FromHosts(query, judged, &data, &outcome)) return Reply(client, query, outcome, data);
  if (!cache_.Get(query.name, query.type, NowMs(), &result, &data)) return Wait(client, query, judged, false);
  outcome = Vet(judged, result, &data);
  Reply(client, query, outcome, data);
}

// The host's own hosts file comes first, and what its owner wrote there may be any address.
bool DnsServer::FromHosts(const DnsQuery& query, const Name& judged, DnsData* data, Outcome* outcome) {
  bool known = false;
  data->ttl = kHostsTtl;
  if (IsLocalhost(query.name)) {
    (void)ParseAddress(query.type == kDnsA ? "127.0.0.1" : "::1", &data->addresses[0]);  // constants
    data->address_count = query.type == kDnsCname ? 0 : 1;
    return true;  // loopback needs no record: what is there is the jail's
  }
  for (const Resolver::Host* host = nullptr; (host = resolver_.NextHost(query.name, host)) != nullptr;) {
    known = true;
    bool wanted = query.type == (host->address.Is4() ? kDnsA : kDnsAaaa);
    if (wanted && data->address_count < kDnsMaxAddresses) data->addresses[data->address_count++] = host->address;
  }
  if (known) outcome->silent = !TellResolved(judged, *data, true);
  return known;
}

DnsServer::Outcome DnsServer::Vet(const Name& judged, AnswerResult result, DnsData* data) {
  Outcome outcome;
  if (result == AnswerResult::kServerFailure) {
    outcome.rcode = Rcode::kServFail;
    return outcome;
  }
  if (result == AnswerResult::kNxDomain) outcome.rcode = Rcode::kNxDomain;
  for (size_t i = 0; i < data->chain_count && outcome.reason[0] == 0; ++i) {
    if (gate_.IsDenied(data->chain[i]))
      snprintf(outcome.reason, sizeof(outcome.reason), "an alias of %.60s, which is denied", data->chain[i].text);
  }
  if (outcome.reason[0] == 0 && VetAddresses(data, &outcome)) outcome.silent = !TellResolved(judged, *data, false);
  if (outcome.reason[0] != 0) {
    outcome.rcode = Rcode::kNxDomain;
    *data = DnsData();
  }
  return outcome;
}

// A public name that leads inside (DNS rebinding): the address is left out, and if none is left the name is refused.
bool DnsServer::VetAddresses(DnsData* data, Outcome* outcome) {
  size_t kept = 0;
  for (size_t i = 0; i < data->address_count; ++i) {
    const IpAddress address = data->addresses[i];
    AddressClass c = Classify(address);
    bool own = c == AddressClass::kPublic && IsOwnAddress(address);
    if (rules_.MayResolveTo(address) && !own) {
      data->addresses[kept++] = address;
      continue;
    }
    outcome->address = address;
    char text[INET6_ADDRSTRLEN];
    FormatAddress(address, text);
    snprintf(outcome->reason, sizeof(outcome->reason), "it resolves to %s, which is %s", text,
             own ? "this host's own" : ClassName(c));
  }
  if (kept > 0 || data->address_count == 0) outcome->reason[0] = 0;
  data->address_count = kept;
  return outcome->reason[0] == 0;
}

bool DnsServer::TellResolved(const Name& judged, const DnsData& data, bool trusted) {
  uint64_t now = NowMs();
  uint32_t ttl = data.ttl < DnsCache::kMaxTtl ? data.ttl : DnsCache::kMaxTtl;
  GatewayMessage message = MessageOf(GatewayMessageType::kResolved, judged, "");
  message.milliseconds = (ttl + kGraceSeconds) * 1000;
  message.trusted = trusted;
  for (size_t i = 0; i < data.address_count; ++i) {
    message.address = data.addresses[i];
    if (!link_->Tell(message)) return false;
    records_->Add({judged, data.addresses[i], now + message.milliseconds, trusted}, now);
  }
  return true;
}

bool DnsServer::TellRefused(const DnsClient& client, const DnsQuery& query, const char* reason,
                            const IpAddress& address, bool permitted) {
  GatewayMessage message = MessageOf(GatewayMessageType::kRefusedName, Shown(query.shown), reason);
  if (!query.name.empty()) message.name = query.name;
  message.number = query.type;
  message.address = address;
  message.allowed = permitted ? 1 : 0;
  IpAddress from;
  if (!client.tcp) (void)FromSockaddr(&client.from, client.from_size, &from, &message.port);  // our own socket said it
  return link_->Tell(message);
}

void DnsServer::Refuse(const DnsClient& client, const DnsQuery& query, const char* reason) {
  Outcome outcome;
  outcome.rcode = Rcode::kNxDomain;
  snprintf(outcome.reason, sizeof(outcome.reason), "%s", reason);
  Reply(client, query, outcome, DnsData());
}

void DnsServer::Reply(const DnsClient& client, const DnsQuery& query, const Outcome& outcome, const DnsData& data) {
  if (outcome.silent) return;
  // A refusal that nobody hears of is none: the program will ask again.
  if (outcome.reason[0] != 0 && !TellRefused(client, query, outcome.reason, outcome.address, false)) return;
  Respond(client, query, outcome.rcode, data);
}

void DnsServer::Respond(const DnsClient& client, const DnsQuery& query, Rcode rcode, const DnsData& data) {
  static uint8_t out[16 * 1024];  // 16 aliases and 32 addresses with every name spelled out come to less
  size_t limit = client.tcp ? sizeof(out) : query.udp_size;
  size_t size = BuildResponse(query, rcode, data, out, limit);
  if (size == 0) return;
  if (client.tcp) return tcp_.Send(client.token, out, size);
  // A client that does not read loses its answers, as on any network.
  (void)sendto(sockets_[client.token.index], out, size, MSG_DONTWAIT | MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&client.from), client.from_size);
}

}  // namespace qi
