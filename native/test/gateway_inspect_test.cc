#include <fcntl.h>
#include <signal.h>

#include <functional>
#include <vector>

#include "check.h"
#include "dns_builder.h"
#include "gateway/gateway_loop.h"
#include "gateway_netns.h"
#include "monitor/channel.h"

namespace {

using namespace qi_test;
using qi::GatewayMessageType;

constexpr uint16_t kPort = 8443;
constexpr const char* kServer = "203.0.113.9";

std::string List16(const std::string& s) { return U16(static_cast<unsigned>(s.size())) + s; }
std::string Extension(unsigned type, const std::string& data) { return U16(type) + List16(data); }
std::string Sni(const std::string& name) { return Extension(0, List16(std::string(1, '\0') + List16(name))); }
std::string Hello(const std::string& extensions) {
  std::string body = U16(0x0303) + std::string(32, 'r') + Label("") + List16(U16(0x1301)) +
                     Label(std::string(1, '\0')) + List16(extensions);
  body = "\x01" + U32(static_cast<uint32_t>(body.size())).substr(1) + body;
  return "\x16" + U16(0x0301) + List16(body);
}
std::string Get(const std::string& host) { return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"; }

// A jail's network namespace with an inspecting listener, and a "host's" namespace with a server. The server's address
// is this machine's own, which names only lead to from the host's file: the records are trusted unless a test says
// other.
class InspectWorld {
 public:
  qi::Poller poller;
  qi::Link link;
  qi::Rules rules;
  qi::Records records;
  qi::Inspector inspector;
  std::vector<qi::GatewayMessage> told;
  qi::UniqueFd server;

  explicit InspectWorld(const std::string& lines, uint32_t patience_ms = 10000)
      : inspector(&poller, &link, rules, records, patience_ms) {
    (void)signal(SIGPIPE, SIG_IGN);
    qi::UniqueFd theirs;
    CHECK(EnterNewNetwork(true));
    CHECK(RouteEverythingHere(AF_INET) && RouteEverythingHere(AF_INET6));
    listener_ = SocketAt(SOCK_STREAM, "::", kPort);
    for (auto& socket_fd : pool_) socket_fd.reset(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    CHECK(EnterNewNetwork(false));
    CHECK(AddAddress(kServer));
    server = SocketAt(SOCK_STREAM, kServer, kPort);
    CHECK(listener_ && server);
    CHECK(qi::MakeChannel(&monitor_, &theirs));
    CHECK(link.Init(std::move(theirs)) && poller.Open() && poller.Register(&inspector));
    CHECK(inspector.Add(listener_.get()));
    CHECK_EQ(rules.Parse(lines.data(), lines.size(), false), 0);
  }

  void Resolved(const std::string& name, const char* address = kServer, bool trusted = true) {
    qi::Record record;
    record.name = Host(name);
    CHECK(qi::ParseAddress(address, &record.address));
    record.expires_ms = qi::NowMs() + 60000;
    record.trusted = trusted;
    records.Add(record, qi::NowMs());
  }

  bool Until(const std::function<bool()>& done, uint64_t limit_ms = 2000) {
    uint64_t end = qi::NowMs() + limit_ms;
    do {
      (void)poller.Step(2);
      qi::GatewayMessage m;
      while (recv(monitor_.get(), &m, sizeof(m), MSG_DONTWAIT) == static_cast<ssize_t>(sizeof(m))) told.push_back(m);
      if (done()) return true;
    } while (qi::NowMs() < end);
    return false;
  }

  // A client in the jail.
  qi::UniqueFd Dial(const char* address = kServer) {
    qi::UniqueFd fd = std::move(pool_[next_++]);
    qi::IpAddress ip;
    sockaddr_storage to;
    CHECK(qi::ParseAddress(address, &ip));
    socklen_t size = qi::ToSockaddr(ip, kPort, AF_INET, &to);
    CHECK(connect(fd.get(), reinterpret_cast<sockaddr*>(&to), size) == 0 || errno == EINPROGRESS);
    return fd;
  }

  qi::UniqueFd Accept(uint64_t limit_ms = 2000) {
    qi::UniqueFd fd;
    (void)Until(
        [&] {
          fd.reset(accept4(server.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
          return static_cast<bool>(fd);
        },
        limit_ms);
    return fd;
  }

  // Until `size` bytes have come, the end of file, or nothing more in time.
  std::string Read(int fd, size_t size, int* error = nullptr) {
    std::string all;
    (void)Until([&] {
      char bytes[65536];
      ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
      if (n > 0) all.append(bytes, static_cast<size_t>(n));
      if (error != nullptr) *error = n < 0 ? errno : 0;
      return all.size() >= size || n == 0 || (n < 0 && errno != EAGAIN);
    });
    return all;
  }

  // What a client's first bytes come to: the reason of the refusal, or "" when the server got them.
  std::string Try(const std::string& first, const char* address = kServer) {
    told.clear();
    qi::UniqueFd client = Dial(address);
    (void)!send(client.get(), first.data(), first.size(), MSG_NOSIGNAL);
    qi::UniqueFd there;
    (void)Until([&] {
      there.reset(accept4(server.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      return there || !told.empty();
    });
    if (!told.empty()) {
      int error = 0;
      CHECK_STREQ(Read(client.get(), 1, &error), "");
      CHECK_EQ(error, ECONNRESET);
      return told[0].reason;
    }
    CHECK_STREQ(Read(there.get(), first.size()), first);
    return "";
  }

 private:
  qi::UniqueFd monitor_, listener_, pool_[40];
  size_t next_ = 0;
};

const std::string kRules =
    "host allow exact www.example.com tcp 8443-8443 inspect\n"
    "host allow exact other.example.com tcp 8443-8443 inspect\n"
    "host allow exact admin.example.com tcp 22-22\n";

}  // namespace

TEST(TheRightNamePassesWithEveryByte) {
  InspectWorld w(kRules);
  w.Resolved("www.example.com");
  qi::UniqueFd client = w.Dial();
  std::string hello = Hello(Sni("WWW.example.com")) + "and more";
  CHECK_EQ(send(client.get(), hello.data(), hello.size(), 0), static_cast<long>(hello.size()));
  qi::UniqueFd there = w.Accept();
  REQUIRE(there);
  CHECK_STREQ(w.Read(there.get(), hello.size()), hello);
  std::string up, down, sent_up(3000000, 'u'), sent_down(5000000, 'd');
  for (size_t i = 0; i < sent_up.size(); i += 1000) sent_up[i] = static_cast<char>(i / 1000);
  for (size_t i = 0; i < sent_down.size(); i += 999) sent_down[i] = static_cast<char>(i / 999);
  size_t at_up = 0, at_down = 0;
  auto push = [](int fd, const std::string& all, size_t* at) {
    ssize_t n = *at < all.size() ? send(fd, all.data() + *at, all.size() - *at, MSG_NOSIGNAL) : 0;
    if (n > 0 && (*at += static_cast<size_t>(n)) == all.size()) (void)shutdown(fd, SHUT_WR);
  };
  auto pull = [](int fd, std::string* all) {
    static char bytes[65536];
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    if (n > 0) all->append(bytes, static_cast<size_t>(n));
    return n == 0;
  };
  bool ended_up = false, ended_down = false;
  CHECK(w.Until(
      [&] {
        push(client.get(), sent_up, &at_up);
        push(there.get(), sent_down, &at_down);
        ended_up = ended_up || pull(there.get(), &up);
        ended_down = ended_down || pull(client.get(), &down);
        return ended_up && ended_down;
      },
      20000));
  CHECK(up == sent_up);
  CHECK(down == sent_down);
  CHECK_EQ(w.told.size(), 0);
}

TEST(HalfAConnectionStaysOpen) {
  InspectWorld w(kRules);
  w.Resolved("www.example.com");
  qi::UniqueFd client = w.Dial();
  std::string first = Get("www.example.com:8443");
  (void)!send(client.get(), first.data(), first.size(), 0);
  CHECK_EQ(shutdown(client.get(), SHUT_WR), 0);
  qi::UniqueFd there = w.Accept();
  REQUIRE(there);
  CHECK_STREQ(w.Read(there.get(), first.size() + 1), first);  // up to the end
  CHECK_EQ(send(there.get(), "answer", 6, 0), 6);
  CHECK_STREQ(w.Read(client.get(), 6), "answer");
  there.reset();
  int error = -1;
  CHECK_STREQ(w.Read(client.get(), 1, &error), "");
  CHECK_EQ(error, 0);
}

TEST(AnotherNameIsRefusedAndTold) {
  InspectWorld w(kRules);
  w.Resolved("www.example.com");
  CHECK_STREQ(w.Try(Hello(Sni("evil.example.net"))), "it names another host than it is connected to");
  REQUIRE(w.told.size() == 1);
  CHECK(w.told[0].type == GatewayMessageType::kRefusedHello);
  CHECK_STREQ(w.told[0].name.text, "www.example.com");
  CHECK_STREQ(w.told[0].said.text, "evil.example.net");
  CHECK_EQ(w.told[0].port, kPort);
  CHECK_STREQ(w.Try(Get("evil.example.net")), "it names another host than it is connected to");
  // Allowed, but it does not lead to this address.
  CHECK_STREQ(w.Try(Hello(Sni("other.example.com"))), "it names another host than it is connected to");
  CHECK_STREQ(w.Try(Hello(Sni("www.example.com"))), "");
  CHECK_STREQ(w.Try(Get("www.example.com")), "");
}

TEST(AnotherNameOfTheSameAddress) {
  InspectWorld w(kRules);
  w.Resolved("www.example.com");
  w.Resolved("other.example.com");
  w.Resolved("admin.example.com");
  w.Resolved("gone.example.com");
  CHECK_STREQ(w.Try(Hello(Sni("other.example.com"))), "");
  CHECK_STREQ(w.Try(Hello(Sni("admin.example.com"))), "no rule allows this port of the host");
  CHECK_STREQ(w.Try(Hello(Sni("gone.example.com"))), "no rule allows this host");
}

TEST(WhatNamesNoHostIsRefused) {
  InspectWorld w(kRules);
  w.Resolved("www.example.com");
  CHECK_STREQ(w.Try(Hello("")), "its TLS handshake names no host");
  CHECK_STREQ(w.Try("SSH-2.0-client\r\n"), "neither TLS nor HTTP");
  CHECK_STREQ(w.Try(std::string("\x16\x03\x01\xff\xff", 5)), "its first bytes are malformed");
  CHECK_STREQ(w.Try("CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com\r\n\r\n"), "an HTTP CONNECT");
  CHECK_STREQ(w.Try("GET http://evil.example.net/ HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
              "the request's target is not its Host");
  CHECK_STREQ(w.Try("GET http://www.example.com/ HTTP/1.1\r\nHost: www.example.com\r\n\r\n"), "");
  CHECK(!w.Try("GET / HTTP/1.1\r\n\r\n").empty());
}

TEST(AnAddressAsHost) {
  InspectWorld w("net allow 203.0.113.9/32 tcp 8443-8443 inspect\n");
  CHECK_STREQ(w.Try(Get("203.0.113.9:8443")), "");
  CHECK_STREQ(w.Try(Get("203.0.113.10")), "it names another address than it is connected to");
  CHECK_STREQ(w.told[0].said.text, "203.0.113.10");
  CHECK_STREQ(w.Try(Hello(Sni("www.example.com"))), "it names another host than it is connected to");
}

TEST(EncryptedHellosMayHideAnotherHost) {
  InspectWorld w(kRules);
  w.Resolved("www.example.com");
  const char kWhy[] = "its TLS handshake may hide another host (ECH)";
  CHECK_STREQ(w.Try(Hello(Sni("www.example.com") + Extension(0xfe0d, std::string(64, 'g')))), kWhy);
  CHECK_STREQ(w.Try(Hello(Sni("www.example.com") + Extension(0x0a0a, std::string(64, 'g')))), "");
}

TEST(OtherWaysIn) {
  InspectWorld w(kRules);
  w.Resolved("www.example.com");
  w.Resolved("other.example.com", kServer, false);
  CHECK_STREQ(w.Try("", "127.0.0.1"), "a loopback address");
  CHECK_STREQ(w.Try("", "203.0.113.77"), "no rule allows this host");
  CHECK_STREQ(w.Try(Hello(Sni("other.example.com"))), "an address of this host");
}

TEST(TheSilentAreCut) {
  InspectWorld w(kRules, 150);
  w.Resolved("www.example.com");
  std::string half = Hello(Sni("www.example.com")).substr(0, 40);
  CHECK_STREQ(w.Try(half), "it does not say in time where to");
  CHECK_STREQ(w.Try("GET / HTTP/1.1\r\n"), "it does not say in time where to");
}

TEST(ThoseWhoLeaveEarlyAreNoRefusal) {
  InspectWorld w(kRules);
  w.Resolved("www.example.com");
  { qi::UniqueFd client = w.Dial(); }
  CHECK(!w.Until([&] { return !w.told.empty(); }, 100));
}

TEST(OneByteAtATime) {
  InspectWorld w(kRules);
  w.Resolved("www.example.com");
  qi::UniqueFd client = w.Dial();
  std::string hello = Hello(Sni("www.example.com"));
  for (char byte : hello) {
    (void)w.Until([&] { return send(client.get(), &byte, 1, MSG_NOSIGNAL) == 1; });
  }
  qi::UniqueFd there = w.Accept();
  CHECK_STREQ(w.Read(there.get(), hello.size()), hello);
}

TEST(NoServerIsAReset) {
  InspectWorld w(kRules);
  w.Resolved("www.example.com");
  w.server.reset();
  qi::UniqueFd client = w.Dial();
  std::string hello = Hello(Sni("www.example.com"));
  (void)!send(client.get(), hello.data(), hello.size(), MSG_NOSIGNAL);
  int error = 0;
  (void)w.Read(client.get(), 1, &error);
  CHECK_EQ(error, ECONNRESET);
}

TEST(ConnectionsAreBoundedAndWait) {
  InspectWorld w(kRules);
  w.Resolved("www.example.com");
  w.inspector.SetMax(3);
  std::string hello = Hello(Sni("www.example.com"));
  std::vector<qi::UniqueFd> clients, there;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(w.Dial());
    (void)!send(clients.back().get(), hello.data(), hello.size(), MSG_NOSIGNAL);
  }
  for (int i = 0; i < 3; ++i) there.push_back(w.Accept());
  CHECK(!w.Accept(100));
  there[0].reset();
  clients[0].reset();
  there.push_back(w.Accept());
  CHECK(there.back());
}

TEST(AResetIsPassedOn) {
  InspectWorld w(kRules);
  w.Resolved("www.example.com");
  qi::UniqueFd client = w.Dial();
  std::string hello = Hello(Sni("www.example.com"));
  (void)!send(client.get(), hello.data(), hello.size(), MSG_NOSIGNAL);
  qi::UniqueFd there = w.Accept();
  REQUIRE(there);
  CHECK_STREQ(w.Read(there.get(), hello.size()), hello);
  linger now = {1, 0};
  (void)setsockopt(there.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  there.reset();
  int error = 0;
  (void)w.Read(client.get(), 1, &error);
  CHECK_EQ(error, ECONNRESET);
}

CHECK_MAIN()
