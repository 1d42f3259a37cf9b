// Test-only: the gateway's parts on loopback sockets, with resolvers that say what a test wants and time that a test
// can wait for. One thread: Until() turns the loop and the resolvers.
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "check.h"
#include "dns_builder.h"
#include "gateway/dns_server.h"
#include "monitor/channel.h"

namespace qi_test {

inline sockaddr_in Loopback(uint16_t port, uint8_t last = 1) {
  sockaddr_in a = {};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(0x7f000000u | last);
  a.sin_port = htons(port);
  return a;
}

inline uint16_t PortOf(int fd) {
  sockaddr_storage a;
  socklen_t size = sizeof(a);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&a), &size) != 0) return 0;
  return ntohs(a.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&a)->sin6_port
                                       : reinterpret_cast<sockaddr_in*>(&a)->sin_port);
}

// A non-blocking socket bound to 127.0.0.LAST; stream sockets listen.
inline qi::UniqueFd Bound(int type, uint16_t port = 0, uint8_t last = 1) {
  qi::UniqueFd fd(socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int on = 1;
  (void)setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in a = Loopback(port, last);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof(a)) != 0) fd.reset();
  if (fd && type == SOCK_STREAM && listen(fd.get(), 64) != 0) fd.reset();
  return fd;
}

inline qi::UniqueFd ConnectTo(int type, uint16_t port) {
  qi::UniqueFd fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
  sockaddr_in a = Loopback(port);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof(a)) != 0) fd.reset();
  if (fd) (void)fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  return fd;
}

inline std::string Bytes4(const char* address) {
  in_addr a;
  (void)inet_pton(AF_INET, address, &a);
  return std::string(reinterpret_cast<char*>(&a), 4);
}
inline std::string Bytes16(const char* address) {
  in6_addr a;
  (void)inet_pton(AF_INET6, address, &a);
  return std::string(reinterpret_cast<char*>(&a), 16);
}

// What a resolver was asked.
struct Asked {
  std::string bytes;
  std::string name;
  uint16_t type = 0;
  bool tcp = false;
};

// The header, question and records of an answer to `asked`; records' owner is usually Pointer(12).
inline std::string AnswerTo(const Asked& asked, const std::vector<std::string>& records, unsigned flags = 0x8180,
                            const std::vector<std::string>& authority = {}) {
  unsigned id = static_cast<uint8_t>(asked.bytes[0]) << 8 | static_cast<uint8_t>(asked.bytes[1]);
  std::string out =
      Header(id, flags, 1, static_cast<unsigned>(records.size()), static_cast<unsigned>(authority.size()), 0) +
      Question(Wire(asked.name), asked.type);
  for (const auto& r : records) out += r;
  for (const auto& r : authority) out += r;
  return out;
}
inline std::string A(const char* address, uint32_t ttl = 60) { return Rr(Pointer(12), 1, ttl, Bytes4(address)); }
inline std::string Aaaa(const char* address, uint32_t ttl = 60) { return Rr(Pointer(12), 28, ttl, Bytes16(address)); }

// A resolver on 127.0.0.LAST, UDP and TCP. What `says` returns is sent; an empty string is silence.
class FakeResolver {
 public:
  std::function<std::string(const Asked&)> says = [](const Asked& asked) {
    return asked.type == 1 ? AnswerTo(asked, {A("203.0.113.5")}) : AnswerTo(asked, {Aaaa("2001:db8::5")});
  };
  std::vector<Asked> asked;

  uint16_t Open(uint8_t last = 1, uint16_t port = 0) {
    for (int i = 0; i < 50; ++i) {
      udp_ = Bound(SOCK_DGRAM, port, last);
      tcp_ = Bound(SOCK_STREAM, PortOf(udp_.get()), last);
      if (udp_ && tcp_) return PortOf(udp_.get());
    }
    return 0;
  }

  void Turn() {
    char bytes[2048];
    sockaddr_in from;
    socklen_t size = sizeof(from);
    ssize_t n;
    while ((n = recvfrom(udp_.get(), bytes, sizeof(bytes), 0, reinterpret_cast<sockaddr*>(&from), &size)) > 0) {
      std::string answer = Answer(std::string(bytes, static_cast<size_t>(n)), false);
      if (answer.empty()) continue;
      (void)!sendto(udp_.get(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
    int fd = accept4(tcp_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) connections_.emplace_back(fd);
    for (auto& c : connections_) {
      n = c ? recv(c.get(), bytes, sizeof(bytes), 0) : -1;
      if (n == 0) c.reset();
      if (n <= 2) continue;
      std::string answer = Answer(std::string(bytes + 2, static_cast<size_t>(n) - 2), true);
      if (answer.empty()) continue;
      answer = U16(static_cast<unsigned>(answer.size())) + answer;
      (void)!send(c.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }

 private:
  std::string Answer(const std::string& bytes, bool tcp) {
    qi::DnsQuery query;
    if (qi::ParseQuery(bytes.data(), bytes.size(), &query) != qi::QueryResult::kGood) return "";
    asked.push_back({bytes, query.name.text, query.type, tcp});
    return says(asked.back());
  }

  qi::UniqueFd udp_, tcp_;
  std::vector<qi::UniqueFd> connections_;
};

struct Response {
  bool came = false;
  unsigned id = 0, rcode = 0, answers = 0;
  bool truncated = false;
  std::string bytes;
  std::vector<std::string> addresses;
  uint32_t ttl = 0;
};

inline Response ReadResponse(const std::string& bytes, const std::string& name, uint16_t type) {
  Response r;
  if (bytes.size() < 12) return r;
  auto at = [&](size_t i) { return static_cast<unsigned>(static_cast<uint8_t>(bytes[i])); };
  r.came = true;
  r.bytes = bytes;
  r.id = at(0) << 8 | at(1);
  r.rcode = at(3) & 15;
  r.truncated = (at(2) & 2) != 0;
  r.answers = at(6) << 8 | at(7);
  static qi::DnsData data;
  data = qi::DnsData();
  (void)qi::ParseAnswer(bytes.data(), bytes.size(), static_cast<uint16_t>(r.id), Host(name), type, &data);
  for (size_t i = 0; i < data.address_count; ++i) {
    char text[INET6_ADDRSTRLEN];
    qi::FormatAddress(data.addresses[i], text);
    r.addresses.push_back(text);
  }
  r.ttl = data.ttl;
  return r;
}

// The gateway's name server between a program of the jail and resolvers.
class World {
 public:
  qi::Poller poller;
  qi::Link link;
  qi::Rules rules;
  qi::Records records;
  qi::Resolver resolver;
  qi::DnsTimes times = {200, 600, 300};
  FakeResolver upstream;
  qi::DnsServer* dns = nullptr;
  std::vector<qi::GatewayMessage> told;

  World(const std::string& rule_lines, const std::string& resolver_lines = "") {
    (void)signal(SIGPIPE, SIG_IGN);
    qi::UniqueFd theirs;
    CHECK(qi::MakeChannel(&monitor_, &theirs));
    CHECK(link.Init(std::move(theirs)));
    CHECK(poller.Open());
    CHECK_EQ(rules.Parse(rule_lines.data(), rule_lines.size(), false), 0);
    std::string lines = "nameserver 127.0.0.1\n" + resolver_lines;
    CHECK(resolver.Parse(lines.data(), lines.size()));
    resolver.port = upstream.Open();
  }
  ~World() { delete dns; }

  // After the times and servers are as the test wants them.
  void Start() {
    dns = new qi::DnsServer(&poller, &link, rules, &records, resolver, times);
    udp_ = Bound(SOCK_DGRAM);
    tcp_ = Bound(SOCK_STREAM);
    CHECK(dns->Init() && dns->AddUdp(udp_.get()) && dns->AddTcp(tcp_.get()));
    client_ = ConnectTo(SOCK_DGRAM, PortOf(udp_.get()));
  }

  bool Until(const std::function<bool()>& done, uint64_t limit_ms = 3000) {
    uint64_t end = qi::NowMs() + limit_ms;
    for (;;) {
      (void)poller.Step(2);
      upstream.Turn();
      for (auto* more : others) more->Turn();
      Drain();
      if (done()) return true;
      if (qi::NowMs() > end) return false;
    }
  }

  void SendQuery(const std::string& bytes) { (void)!send(client_.get(), bytes.data(), bytes.size(), 0); }
  static std::string Query(const std::string& name, uint16_t type, unsigned id = 7) {
    return Header(id, 0x0100, 1, 0, 0, 0) + Question(Wire(name), type);
  }

  Response Ask(const std::string& name, uint16_t type = 1, uint64_t limit_ms = 3000) {
    if (dns == nullptr) Start();
    SendQuery(Query(name, type, ++id_));
    std::string bytes;
    (void)Until([&] { return Receive(&bytes) && Id(bytes) == id_; }, limit_ms);
    return ReadResponse(Id(bytes) == id_ ? bytes : "", name, type);
  }

  static unsigned Id(const std::string& bytes) {
    if (bytes.size() < 2) return 0;
    return static_cast<unsigned>(static_cast<uint8_t>(bytes[0])) << 8 | static_cast<uint8_t>(bytes[1]);
  }

  bool Receive(std::string* bytes) {
    char room[4096];
    ssize_t n = recv(client_.get(), room, sizeof(room), MSG_DONTWAIT);
    if (n < 0) return false;
    bytes->assign(room, static_cast<size_t>(n));
    return true;
  }

  void CloseChannel() { monitor_.reset(); }

  qi::UniqueFd ConnectTcp() { return ConnectTo(SOCK_STREAM, PortOf(tcp_.get())); }

  std::vector<qi::GatewayMessage> Told(qi::GatewayMessageType type) {
    Drain();
    std::vector<qi::GatewayMessage> found;
    for (const auto& m : told) {
      if (m.type == type) found.push_back(m);
    }
    return found;
  }
  std::string LastReason() {
    auto refused = Told(qi::GatewayMessageType::kRefusedName);
    return refused.empty() ? "" : refused.back().reason;
  }

  std::vector<FakeResolver*> others;

  void Drain() {
    qi::GatewayMessage message;
    while (recv(monitor_.get(), &message, sizeof(message), MSG_DONTWAIT) == static_cast<ssize_t>(sizeof(message)))
      told.push_back(message);
  }

 private:
  qi::UniqueFd monitor_, udp_, tcp_, client_;
  unsigned id_ = 100;
};

}  // namespace qi_test
