// The gateway as a process: started from a plan, confined, served by, and gone with its parent.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "gateway/gateway.h"
#include "gateway_netns.h"
#include "gateway_world.h"
#include "plan_builder.h"

namespace {

using namespace qi_test;
using qi::GatewayMessageType;

constexpr uint16_t kUdpPort = 4433, kTlsPort = 8443;
const std::string kRules =
    "host allow exact api.example.com tcp 443-443\n"
    "net allow 203.0.113.9/32 udp 4433-4433\n"
    "host allow exact www.example.com tcp 8443-8443 inspect\n";
const std::string kResolver = "nameserver 127.0.0.1\nhosts 203.0.113.9 www.example.com\n";

// The filter of the plan is data: the real one is made and judged elsewhere, and may be given to this test.
std::string Filter() {
  if (const char* path = getenv("QI_GATEWAY_FILTER")) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  // Everything but opening files, so that it can be seen to be there.
  const sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  return std::string(reinterpret_cast<const char*>(program), sizeof(program));
}

// A plan in pages of its own, as the gateway unmaps it. The builder's filters are of 8 bytes: a plan is laid out by
// hand.
class GatewayPlan {
 public:
  explicit GatewayPlan(const std::string& filter, uint32_t flags = qi::kPlanLandlockOptional) {
    const qi::Relay relays[] = {{qi::RelayKind::kDnsUdp, 53},
                                {qi::RelayKind::kDnsTcp, 53},
                                {qi::RelayKind::kUdp, kUdpPort},
                                {qi::RelayKind::kInspect, kTlsPort}};
    qi_check::PlanBuilder builder;
    builder.Set(&qi::Plan::network_rules, kRules);
    builder.Set(&qi::Plan::resolver, kResolver);
    builder.SetList(&qi::Plan::relays, std::vector<qi::Relay>(std::begin(relays), std::end(relays)));
    qi::PlanList<uint64_t> bytes = {};
    builder.plan().flags = flags | qi::kPlanAllowListNetwork;
    builder.plan().uid_outside = 54321;
    builder.plan().gid_outside = 54322;
    std::vector<uint8_t> all = builder.Finish();
    bytes.offset = static_cast<uint32_t>((all.size() + 7) / 8 * 8);
    all.resize(bytes.offset + filter.size());
    filter.copy(reinterpret_cast<char*>(all.data()) + bytes.offset, filter.size());
    size_ = all.size();
    void* map = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(map, all.data(), all.size());
    auto* plan = static_cast<qi::Plan*>(map);
    plan->gateway_filter = {bytes.offset, static_cast<uint32_t>(filter.size())};
    jail.blob.data = static_cast<uint8_t*>(map);
    jail.blob.size = size_;
    jail.plan = plan;
  }
  ~GatewayPlan() { (void)munmap(const_cast<uint8_t*>(jail.blob.data), size_); }

  qi::Jail jail;

 private:
  size_t size_;
};

class ProcessWorld {
 public:
  FakeResolver upstream;
  qi::UniqueFd channel, dns, udp, tls, tcp, udp_server, tls_server;
  pid_t gateway = -1;
  qi::Result result;

  explicit ProcessWorld(bool as_root = false) : plan(Filter(), flags(as_root)) {
    CHECK(as_root ? unshare(CLONE_NEWNET) == 0 && RaiseLoopback() : EnterNewNetwork(true));
    CHECK(RouteEverythingHere(AF_INET) && RouteEverythingHere(AF_INET6));
    qi::UniqueFd relays[] = {Bound(SOCK_DGRAM, 53), Bound(SOCK_STREAM, 53), SocketAt(SOCK_DGRAM, "::", kUdpPort),
                             SocketAt(SOCK_STREAM, "::", kTlsPort)};
    CHECK(SayDestinations(relays[2].get()));
    dns = ConnectTo(SOCK_DGRAM, 53);
    udp = Dial(SOCK_DGRAM, "203.0.113.9", kUdpPort);
    tls.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));  // of the jail, wherever it is connected from
    tcp.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(EnterNewNetwork(false) && AddAddress("203.0.113.9"));
    CHECK_EQ(upstream.Open(1, 53), 53);
    udp_server = SocketAt(SOCK_DGRAM, "203.0.113.9", kUdpPort);
    tls_server = SocketAt(SOCK_STREAM, "203.0.113.9", kTlsPort);
    int fds[4];
    for (int i = 0; i < 4; ++i) fds[i] = relays[i].get();
    result = qi::StartGateway(plan.jail, fds, 4, &channel, &gateway);
    CHECK_EQ(static_cast<int>(result.step), 0);
    CHECK_STREQ(result.detail, "");
  }

  static uint32_t flags(bool as_root) { return qi::kPlanLandlockOptional | (as_root ? qi::kPlanPrivileged : 0); }

  bool Until(const std::function<bool()>& done, uint64_t limit_ms = 3000) {
    uint64_t end = qi::NowMs() + limit_ms;
    do {
      upstream.Turn();
      if (done()) return true;
      (void)poll(nullptr, 0, 1);
    } while (qi::NowMs() < end);
    return false;
  }

  Response Ask(const std::string& name, uint16_t type = 1) {
    std::string query = World::Query(name, type), answer;
    (void)!send(dns.get(), query.data(), query.size(), 0);
    (void)Until([&] {
      char bytes[4096];
      ssize_t n = recv(dns.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
      if (n > 0) answer.assign(bytes, static_cast<size_t>(n));
      return n > 0;
    });
    return ReadResponse(answer, name, type);
  }

  bool Told(GatewayMessageType type, qi::GatewayMessage* message) {
    return Until([&] {
      return recv(channel.get(), message, sizeof(*message), MSG_DONTWAIT) == static_cast<ssize_t>(sizeof(*message)) &&
             message->type == type;
    });
  }

  std::string Status(const char* key) const {
    std::ifstream file("/proc/" + std::to_string(gateway) + "/status");
    for (std::string line; std::getline(file, line);) {
      if (line.rfind(std::string(key) + ":\t", 0) == 0) return line.substr(strlen(key) + 2);
    }
    return "?";
  }

  bool Ended() const {
    int status;
    return waitpid(gateway, &status, WNOHANG) == gateway;
  }

  GatewayPlan plan;
};

bool Connect(int fd, const char* address, uint16_t port) {
  sockaddr_in to = Loopback(port);
  CHECK_EQ(inet_pton(AF_INET, address, &to.sin_addr), 1);
  return connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0;
}

std::string Receive(ProcessWorld* w, int fd) {
  std::string text;
  (void)w->Until([&] {
    char bytes[4096];
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n > 0) text.assign(bytes, static_cast<size_t>(n));
    return n >= 0;
  });
  return text;
}

}  // namespace

TEST(ItServesAndTells) {
  ProcessWorld w;
  qi::GatewayMessage message;
  Response r = w.Ask("api.example.com");
  REQUIRE(r.addresses.size() == 1);
  CHECK(w.Told(GatewayMessageType::kResolved, &message));
  CHECK_STREQ(message.name.text, "api.example.com");
  CHECK_EQ(w.Ask("evil.example.net").rcode, 3);
  CHECK(w.Told(GatewayMessageType::kRefusedName, &message));
  // Over TCP on both sides.
  w.upstream.says = [](const Asked& asked) {
    return asked.tcp ? AnswerTo(asked, {Aaaa("2001:db8::7")}) : AnswerTo(asked, {}, 0x8380);
  };
  std::string query = World::Query("api.example.com", 28);
  query = U16(static_cast<unsigned>(query.size())) + query;
  CHECK(Connect(w.tcp.get(), "127.0.0.1", 53));
  CHECK_EQ(send(w.tcp.get(), query.data(), query.size(), 0), static_cast<long>(query.size()));
  r = ReadResponse(Receive(&w, w.tcp.get()).substr(2), "api.example.com", 28);
  CHECK_EQ(r.addresses.size(), 1);
}

TEST(ItRelaysDatagramsAndInspects) {
  ProcessWorld w;
  CHECK_EQ(send(w.udp.get(), "hello", 5, 0), 5);
  CHECK_STREQ(Receive(&w, w.udp_server.get()), "hello");
  CHECK_EQ(w.Ask("www.example.com").rcode, 0);
  CHECK(Connect(w.tls.get(), "203.0.113.9", kTlsPort));
  std::string get = "GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n";
  CHECK_EQ(send(w.tls.get(), get.data(), get.size(), 0), static_cast<long>(get.size()));
  int there = -1;
  CHECK(w.Until([&] { return (there = accept(w.tls_server.get(), nullptr, nullptr)) >= 0; }));
  qi::UniqueFd owned(there);
  CHECK_STREQ(Receive(&w, there), get);
  CHECK_EQ(send(there, "ok", 2, 0), 2);
  CHECK_STREQ(Receive(&w, w.tls.get()), "ok");
  CHECK(!w.Ended());
}

TEST(ItTakesNewRulesBeforeWhatFollowsThem) {
  ProcessWorld w;
  CHECK_EQ(w.Ask("new.example.org").rcode, 3);
  for (const char* lines : {"host allow exact new.example.org tcp 443-443\n", "no such rule\n"}) {
    qi::UniqueFd file(static_cast<int>(syscall(SYS_memfd_create, "rules", 0)));
    CHECK_EQ(qi::WriteAll(file.get(), lines, strlen(lines)), 0);
    qi::GatewayMessage message = {};
    message.type = GatewayMessageType::kRules;
    message.allowed = 1;
    int fd = file.get();
    CHECK_EQ(qi::SendMessage(w.channel.get(), &message, sizeof(message), &fd, 1), 0);
    CHECK_EQ(w.Ask("new.example.org").rcode, 0);
    CHECK_EQ(w.Ask("api.example.com").rcode, 0);  // added to, and a bad line changes nothing
  }
}

TEST(ItIsConfined) {
  ProcessWorld w;
  CHECK_STREQ(w.Status("Seccomp"), "2");
  CHECK_STREQ(w.Status("NoNewPrivs"), "1");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) CHECK_STREQ(w.Status(set), "0000000000000000");
}

TEST(AsRootItBecomesNobody) {
  if (geteuid() != 0) SKIP("needs root");
  ProcessWorld w(true);
  CHECK_STREQ(w.Status("Uid"), "54321\t54321\t54321\t54321");
  CHECK_STREQ(w.Status("Gid"), "54322\t54322\t54322\t54322");
  CHECK_STREQ(w.Status("Groups"), " ");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    CHECK_STREQ(w.Status(set), "0000000000000000");
  // Standard streams, four relay sockets, the channel and the epoll set.
  size_t open = 0;
  for ([[maybe_unused]] const auto& fd :
       std::filesystem::directory_iterator("/proc/" + std::to_string(w.gateway) + "/fd"))
    ++open;
  CHECK_EQ(open, 9);
  CHECK_EQ(w.Ask("api.example.com").rcode, 0);
  if (const char* hold = getenv("QI_HOLD")) {
    printf("gateway %d\n", w.gateway);
    fflush(stdout);
    sleep(static_cast<unsigned>(atoi(hold)));
  }
}

TEST(ItEndsWithTheChannel) {
  ProcessWorld w;
  w.channel.reset();
  CHECK(w.Until([&] { return w.Ended(); }));
}

TEST(ItEndsWithItsParent) {
  CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);  // or the gateway would be another's to bury
  int pipe_fds[2];
  CHECK_EQ(pipe(pipe_fds), 0);
  pid_t middle = fork();
  if (middle == 0) {
    ProcessWorld w;
    (void)!write(pipe_fds[1], &w.gateway, sizeof(w.gateway));
    (void)pause();
  }
  pid_t gateway = -1;
  CHECK_EQ(read(pipe_fds[0], &gateway, sizeof(gateway)), static_cast<long>(sizeof(gateway)));
  REQUIRE(gateway > 0);
  CHECK_EQ(kill(gateway, 0), 0);
  CHECK_EQ(kill(middle, SIGKILL), 0);
  CHECK_EQ(waitpid(middle, nullptr, 0), middle);
  pid_t reaped = 0;
  for (int i = 0; i < 1000 && reaped == 0; ++i) {
    (void)poll(nullptr, 0, 1);
    reaped = waitpid(gateway, nullptr, WNOHANG);
  }
  CHECK_EQ(reaped, gateway);
}

TEST(FailuresNameTheirStepAndLeaveNothing) {
  CHECK(EnterNewNetwork(true));
  qi::UniqueFd relays[] = {Bound(SOCK_DGRAM, 53), Bound(SOCK_STREAM, 53), SocketAt(SOCK_DGRAM, "::", kUdpPort),
                           SocketAt(SOCK_STREAM, "::", kTlsPort)};
  int fds[4];
  for (int i = 0; i < 4; ++i) fds[i] = relays[i].get();
  qi::UniqueFd channel;
  {
    GatewayPlan plan("");
    qi::Result r = qi::StartGateway(plan.jail, fds, 4, &channel);
    CHECK(r.step == qi::Step::kConfineGateway);
    CHECK_STREQ(r.detail, "no filter");
    r = qi::StartGateway(plan.jail, fds, 3, &channel);
    CHECK(r.step == qi::Step::kStartGateway);
  }
  {
    GatewayPlan plan("nonsense");  // one instruction that the kernel refuses
    qi::Result r = qi::StartGateway(plan.jail, fds, 4, &channel);
    CHECK(r.step == qi::Step::kConfineGateway);
    CHECK_EQ(r.error, EINVAL);
  }
  CHECK(!channel);
  CHECK_EQ(waitpid(-1, nullptr, WNOHANG), -1);
  CHECK_EQ(errno, ECHILD);
}

CHECK_MAIN()
