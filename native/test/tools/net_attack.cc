// Test tool: `net_attack NAME ARG…` does one hostile act against a jail with an allow-list and says what came of it, a
// line for each try. It exits with 0 either way: what should have happened is for the test to say.
#include "net_attack.h"

#include <sys/prctl.h>
#include <sys/stat.h>

#include "net_floods.h"
#include "net_races.h"
#include "net_sockets.h"
#include "net_talk.h"

namespace {

using namespace net_attack;

// `listen HOST PORT [HOST PORT…]`: serves nobody, until the end of input. For what payloads should not reach.
void Listen(const Words& w) {
  for (size_t i = 0; i + 1 < w.size(); i += 2) {
    const Where at(w[i], Number(w, i + 1, 0));
    int fd = socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (at.family() == AF_INET6) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    long result = bind(fd, at.get(), at.size);
    Say("listen " + w[i] + " " + w[i + 1], result != 0 ? result : listen(fd, 64));
  }
  Mark("waiting");
}

// `publish PORT OTHER`: a server on a port that is published, one on a port that is not, and the way to others'
// servers.
void Publish(const Words& w) {
  const int port = Number(w, 0, 3000), other = Number(w, 1, 3001);
  auto server = [&](const char* what, const char* host, int number, bool hear) {
    const Where at(host, number);
    int fd = socket(at.family(), SOCK_STREAM, 0), on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    long result = bind(fd, at.get(), at.size);
    Say(std::string("bind ") + what, result);
    if (result == 0 && hear) Say(std::string("listen ") + what, listen(fd, 8));
    return fd;
  };
  auto client = [&](const char* what, const char* host) {
    const Where at(host, port);
    Socket s(at.family(), SOCK_STREAM);
    Say(std::string("reach ") + what, s.Connect(at));
  };
  client("before", "127.0.0.1");
  client("before, IPv6", "::1");
  (void)server("other", "127.0.0.1", other, true);
  (void)server("elsewhere", "198.51.100.2", port, true);
  int silent = server("silent", "127.0.0.1", port, false);
  client("silent", "127.0.0.1");
  client("silent, IPv6", "::1");
  client("silent, beside", "127.0.0.2");
  Say("listen silent", listen(silent, 8));
  client("own", "127.0.0.1");
  client("own, any", "0.0.0.0");
  client("own, IPv6", "::1");
  client("own, beside", "127.0.0.2");
  printf("bound to %s\n", NameOf(silent, false).sin_addr.s_addr == htonl(INADDR_LOOPBACK) ? "loopback" : "more");
}

constexpr struct {
  const char* name;
  void (*run)(const Words& words);
} kActs[] = {{"swap-address", SwapAddress},
             {"swap-socket", SwapSocket},
             {"swap-bind", SwapBind},
             {"swap-ioctl", SwapIoctl},
             {"swap-sendto", SwapSendto},
             {"swap-listen", SwapListen},
             {"connect", ConnectEach},
             {"unspec", Unspec},
             {"again", Again},
             {"fast-open", FastOpen},
             {"families", Families},
             {"options", Options},
             {"ioctls", Ioctls},
             {"lies", Lies},
             {"pass-socket", PassSocket},
             {"take-socket", TakeSocket},
             {"flood-connects", FloodConnects},
             {"flood-threads", FloodThreads},
             {"flip", Flip},
             {"die", Die},
             {"hoard", Hoard},
             {"places", Places},
             {"names", Names},
             {"queries", Queries},
             {"dns-streams", DnsStreams},
             {"dns-flood", DnsFlood},
             {"spoof", Spoof},
             {"say", SayTo},
             {"hello", Hello},
             {"literals", Literals},
             {"look-around", LookAround},
             {"listen", Listen},
             {"publish", Publish}};

}  // namespace

int main(int argc, char** argv) {
  Words words(argv + (argc < 2 ? argc : 2), argv + argc);
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);  // no bare control outlives its test
  for (const auto& act : kActs) {
    if (argc < 2 || strcmp(act.name, argv[1]) != 0) continue;
    act.run(words);
    (void)fflush(stdout);
    _exit(0);
  }
  (void)fprintf(stderr, "net_attack: no act %s\n", argc < 2 ? "given" : argv[1]);
  return 2;
}
