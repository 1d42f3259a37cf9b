#include <fcntl.h>

#include <functional>
#include <vector>

#include "check.h"
#include "gateway/gateway_loop.h"
#include "gateway/outside.h"
#include "gateway_netns.h"
#include "monitor/channel.h"

namespace {

using namespace qi_test;
using qi::GatewayMessageType;

constexpr uint16_t kPort = 4433;
const qi::Relay kRelay = {qi::RelayKind::kUdp, kPort};

// A jail's network namespace with a relay socket, and a "host's" namespace in which the process then is.
class UdpWorld {
 public:
  qi::Poller poller;
  qi::Link link;
  qi::Rules rules;
  qi::Records records;
  qi::UdpRelay relay;
  std::vector<qi::GatewayMessage> told;
  qi::UniqueFd clients[300];

  explicit UdpWorld(const std::string& lines, uint32_t idle_ms = 60000, size_t client_count = 2)
      : relay(&poller, &link, rules, records, idle_ms) {
    qi::UniqueFd theirs;
    CHECK(EnterNewNetwork(true));
    CHECK(RouteEverythingHere(AF_INET) && RouteEverythingHere(AF_INET6));
    socket_ = SocketAt(SOCK_DGRAM, "::", kPort);
    int on = 1;
    CHECK(socket_ && SayDestinations(socket_.get()));
    CHECK(setsockopt(socket_.get(), IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)) == 0);
    for (size_t i = 0; i < client_count; ++i) clients[i] = SocketAt(SOCK_DGRAM, nullptr, 0);
    for (const char* to : kDialed) dialed.push_back(Dial(SOCK_DGRAM, to, kPort));
    CHECK(EnterNewNetwork(false));
    CHECK(AddAddress("203.0.113.9") && AddAddress("2001:db8::9") && AddAddress("10.0.0.9"));
    CHECK(qi::MakeChannel(&monitor_, &theirs));
    CHECK(link.Init(std::move(theirs)) && poller.Open() && poller.Register(&relay));
    CHECK(relay.Add(socket_.get(), kPort));
    CHECK_EQ(rules.Parse(lines.data(), lines.size(), false), 0);
  }

  static constexpr const char* kDialed[] = {"203.0.113.9", "2001:db8::9", "10.0.0.9", "127.0.0.1"};
  std::vector<qi::UniqueFd> dialed;

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

  static bool SendTo(int fd, const char* address, const char* text) {
    qi::IpAddress ip;
    sockaddr_storage to;
    CHECK(qi::ParseAddress(address, &ip));
    socklen_t size = qi::ToSockaddr(ip, kPort, AF_INET6, &to);
    return sendto(fd, text, strlen(text), 0, reinterpret_cast<sockaddr*>(&to), size) >= 0;
  }

  // The next datagram and where it came from.
  static bool Next(int fd, std::string* text, qi::IpAddress* from, sockaddr_storage* raw = nullptr) {
    char bytes[65536];
    sockaddr_storage a;
    socklen_t size = sizeof(a);
    ssize_t n = recvfrom(fd, bytes, sizeof(bytes), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&a), &size);
    if (n < 0) return false;
    text->assign(bytes, static_cast<size_t>(n));
    uint16_t port;
    (void)qi::FromSockaddr(&a, size, from, &port);
    if (raw != nullptr) *raw = a;
    return true;
  }

 private:
  qi::UniqueFd monitor_, socket_;
};

// Sends back what comes, with "re: " before it.
void Echo(int fd) {
  std::string text;
  qi::IpAddress from;
  sockaddr_storage raw;
  while (UdpWorld::Next(fd, &text, &from, &raw)) {
    text = "re: " + text;
    socklen_t size = raw.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    CHECK(sendto(fd, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&raw), size) >= 0);
  }
}

size_t OpenDescriptors() {
  size_t n = 0;
  for (int fd = 0; fd < 2000; ++fd) n += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return n;
}

// Listed addresses: they are this machine's own, which is only allowed to those that are listed.
const std::string kListed = "net allow 203.0.113.9/32 udp 4433-4433\nnet allow 2001:db8::9/128 udp 4433-4433\n";

bool RoundTrip(UdpWorld* w, int client, int server, const char* address) {
  std::string text;
  qi::IpAddress from, expected;
  CHECK(qi::ParseAddress(address, &expected));
  CHECK(UdpWorld::SendTo(client, address, "hello"));
  bool came = w->Until([&] {
    Echo(server);
    return UdpWorld::Next(client, &text, &from);
  });
  CHECK_STREQ(text, "re: hello");
  CHECK(from == expected);
  return came;
}

}  // namespace

TEST(ADatagramGoesThereAndItsReplyComesFromThere) {
  UdpWorld w(kListed);
  qi::UniqueFd four = SocketAt(SOCK_DGRAM, "203.0.113.9", kPort), six = SocketAt(SOCK_DGRAM, "2001:db8::9", kPort);
  REQUIRE(four && six);
  CHECK(RoundTrip(&w, w.clients[0].get(), four.get(), "203.0.113.9"));
  CHECK(RoundTrip(&w, w.clients[0].get(), six.get(), "2001:db8::9"));
  CHECK(RoundTrip(&w, w.clients[1].get(), four.get(), "203.0.113.9"));
  CHECK_EQ(w.told.size(), 0);
}

TEST(AConnectedSocketOfEitherFamily) {
  UdpWorld w(kListed);
  qi::UniqueFd server[] = {SocketAt(SOCK_DGRAM, "203.0.113.9", kPort), SocketAt(SOCK_DGRAM, "2001:db8::9", kPort)};
  for (size_t i = 0; i < 2; ++i) {
    CHECK_EQ(send(w.dialed[i].get(), "hi", 2, 0), 2);
    std::string text;
    qi::IpAddress from;
    CHECK(w.Until([&] {
      Echo(server[i].get());
      return UdpWorld::Next(w.dialed[i].get(), &text, &from);
    }));
    CHECK_STREQ(text, "re: hi");
  }
}

TEST(RefusedDatagramsAreToldAndGoNowhere) {
  UdpWorld w(kListed);
  qi::UniqueFd server = SocketAt(SOCK_DGRAM, "10.0.0.9", kPort);
  for (const char* to : {"10.0.0.9", "203.0.113.10", "127.0.0.1", "169.254.169.254"}) {
    w.told.clear();
    CHECK(UdpWorld::SendTo(w.clients[0].get(), to, "hello"));
    CHECK(w.Until([&] { return w.told.size() == 1; }));
    REQUIRE(w.told.size() == 1);
    qi::IpAddress ip;
    CHECK(qi::ParseAddress(to, &ip));
    CHECK(w.told[0].type == GatewayMessageType::kRefusedPacket);
    CHECK(w.told[0].address == ip);
    CHECK_EQ(w.told[0].port, kPort);
    CHECK(w.told[0].reason[0] != 0);
  }
  std::string text;
  qi::IpAddress from;
  CHECK(!UdpWorld::Next(server.get(), &text, &from));
}

TEST(ANamesRecordOpensTheWayButNotToTheHostItself) {
  UdpWorld w("host allow exact q.example.com udp 4433-4433\n");
  qi::Record record;
  record.name.size = 13;
  memcpy(record.name.text, "q.example.com", 14);
  CHECK(qi::ParseAddress("203.0.113.9", &record.address));
  record.expires_ms = qi::NowMs() + 10000;
  w.records.Add(record, qi::NowMs());
  CHECK(UdpWorld::SendTo(w.clients[0].get(), "203.0.113.9", "hello"));
  CHECK(w.Until([&] { return w.told.size() == 1; }));
  REQUIRE(w.told.size() == 1);
  CHECK_STREQ(w.told[0].reason, "an address of this host");
  CHECK_STREQ(w.told[0].name.text, "q.example.com");
  // From the host's file it may be.
  record.trusted = true;
  w.records.Add(record, qi::NowMs());
  qi::UniqueFd server = SocketAt(SOCK_DGRAM, "203.0.113.9", kPort);
  CHECK(RoundTrip(&w, w.clients[0].get(), server.get(), "203.0.113.9"));
}

TEST(NewRulesHoldForOldFlows) {
  UdpWorld w(kListed);
  qi::UniqueFd server = SocketAt(SOCK_DGRAM, "203.0.113.9", kPort);
  CHECK(RoundTrip(&w, w.clients[0].get(), server.get(), "203.0.113.9"));
  CHECK_EQ(w.rules.Parse("", 0, false), 0);
  w.relay.OnRulesChanged();
  CHECK(UdpWorld::SendTo(w.clients[0].get(), "203.0.113.9", "hello"));
  CHECK(w.Until([&] { return w.told.size() == 1; }));
}

TEST(NewRulesHoldForReplies) {
  UdpWorld w(kListed);
  qi::UniqueFd server = SocketAt(SOCK_DGRAM, "203.0.113.9", kPort);
  CHECK(UdpWorld::SendTo(w.clients[0].get(), "203.0.113.9", "hello"));
  std::string text;
  qi::IpAddress from;
  sockaddr_storage raw;
  CHECK(w.Until([&] { return UdpWorld::Next(server.get(), &text, &from, &raw); }));
  auto push = [&] {
    return sendto(server.get(), "news", 4, 0, reinterpret_cast<sockaddr*>(&raw), sizeof(sockaddr_in));
  };
  CHECK_EQ(push(), 4);
  CHECK(w.Until([&] { return UdpWorld::Next(w.clients[0].get(), &text, &from); }));
  CHECK_EQ(w.rules.Parse("", 0, false), 0);
  w.relay.OnRulesChanged();
  size_t before = OpenDescriptors();
  CHECK_EQ(push(), 4);
  CHECK(w.Until([&] { return OpenDescriptors() == before - 1; }));
  CHECK(!UdpWorld::Next(w.clients[0].get(), &text, &from));
}

TEST(FlowsAreBoundedAndAllAreServed) {
  UdpWorld w(kListed, 60000, 300);
  qi::UniqueFd server = SocketAt(SOCK_DGRAM, "203.0.113.9", kPort);
  for (auto& client : w.clients) CHECK(RoundTrip(&w, client.get(), server.get(), "203.0.113.9"));
  CHECK(OpenDescriptors() < 300 + 256 + 30);
}

TEST(IdleFlowsEnd) {
  UdpWorld w(kListed, 100);
  qi::UniqueFd server = SocketAt(SOCK_DGRAM, "203.0.113.9", kPort);
  size_t before = OpenDescriptors();
  CHECK(RoundTrip(&w, w.clients[0].get(), server.get(), "203.0.113.9"));
  CHECK_EQ(OpenDescriptors(), before + 1);
  CHECK(w.Until([&] { return OpenDescriptors() == before; }));
}

TEST(OwnAddresses) {
  CHECK(EnterNewNetwork(true) && AddAddress("203.0.113.9") && AddAddress("2001:db8::9"));
  const struct {
    const char* address;
    bool own;
  } cases[] = {{"203.0.113.9", true}, {"2001:db8::9", true}, {"203.0.113.10", false}, {"2001:db8::10", false}};
  for (const auto& c : cases) {
    qi::IpAddress ip;
    CHECK(qi::ParseAddress(c.address, &ip));
    CHECK_EQ(qi::IsOwnAddress(ip), c.own);
  }
}

CHECK_MAIN()
