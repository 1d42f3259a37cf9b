// Servers in a jail with an allow-list: published on the host's loopback, or on the jail's own.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "monitor/host_sockets.h"
#include "monitor/socket_facts.h"
#include "monitor/swap.h"
#include "monitor/target.h"

namespace qi {
namespace {

// Tells published listeners apart; 0: no address that one is bound to.
uint64_t ListenerMark(const IpAddress& ip, uint16_t port) {
  IpAddress any;
  if (ip == LoopbackOf(any)) return uint64_t{1} << 16 | port;
  return ip == From4("\x7f\0\0\1") ? port : 0;
}

// Closed or listening, so that what it is bound to stays: one under way can be shut down meanwhile, without asking us,
// and then has no address any more. tcp(7)
bool IsAtRest(int socket) {
  constexpr uint8_t kClosed = 7, kListening = 10;  // tcpi_state
  uint8_t state = 0;
  socklen_t size = sizeof(state);
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &state, &size) != 0) return false;
  return state == kClosed || state == kListening;
}

}  // namespace

// Listed services of the host, and servers of the jail that clients on the host reach.
bool HostSockets::MayPassLoopback(const IpAddress& ip, uint16_t port) const {
  if (rules_.IsLoopbackPort(port)) return true;
  // A program of the host may listen on the same port of another loopback address.
  uint64_t mark = ListenerMark(LoopbackOf(ip), port);
  return rules_.IsPublished(port) && mark != 0 && published_.Count(mark) > 0;
}

void HostSockets::OnBind(const seccomp_notif& request, Answer* answer) {
  IpAddress ip;
  uint16_t port;
  UniqueFd socket = Duplicate(static_cast<pid_t>(request.pid), static_cast<int>(request.data.args[0]));
  if (!socket) return answer->Done(errno);
  if (!notify_->Alive(request.id)) return answer->Done(EINTR);
  Address& address = answer->address;
  if (SocketOption(socket.get(), SOL_SOCKET, SO_DOMAIN) != address.family()) return answer->Done(EAFNOSUPPORT);
  if (!FromSockaddr(&address.storage, address.length, &ip, &port)) return answer->Done(EINVAL);
  bool stream = SocketOption(socket.get(), SOL_SOCKET, SO_TYPE) == SOCK_STREAM;
  bool host = NetworkOf(socket.get()) == own_cookie_;
  auto bind_here = [&](int fd, const Address& to) {
    return bind(fd, reinterpret_cast<const sockaddr*>(&to.storage), to.length) == 0 ? 0 : errno;
  };
  if (!IsOwnLoopback(ip)) return Refuse(Judgement(), "only loopback addresses may be listened on", answer);
  if (!stream) return answer->Done(bind_here(socket.get(), address));
  if (host && rules_.IsPublished(port)) {
    // On the host's loopback and nowhere else, whatever the payload asked for.
    IpAddress loopback = From4("\x7f\0\0\1");
    if (address.family() == AF_INET6 && SocketOption(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY) == 1) {
      loopback = IpAddress();
      loopback.bytes[15] = 1;
    }
    Address to = address;
    to.length = ToSockaddr(loopback, port, address.family(), &to.storage);
    return answer->Done(bind_here(socket.get(), to));
  }
  if (!jail_.Has(kPlanInnerLoopback)) {
    // A client that binds before it connects: any port will do, and listening on it is refused.
    bool client = host && port == 0 && Classify(ip) == AddressClass::kUnspecified;
    if (client) return answer->Done(bind_here(socket.get(), address));
    if (!MayUseOwnLoopback("the jail's own loopback is not allowed", answer)) return;
  }
  if (!host) return answer->Done(bind_here(socket.get(), address));
  UniqueFd fresh = Fresh(Where::kJail, socket.get());
  if (!fresh) return answer->Done(errno);
  Swap swap(notify_, request, socket.get(), root_);
  const char* rule = nullptr;
  if (!swap.Prepare(fresh.get(), &rule)) return Refuse(Judgement(), rule, answer);
  int error = bind_here(fresh.get(), address);
  answer->Done(error != 0 ? error : swap.Install(fresh.get()));
}

// A socket of the host's network may listen only where a published server was bound: an unbound one would get a port on
// every address of the host.
void HostSockets::OnListen(const seccomp_notif& request, Answer* answer) {
  UniqueFd socket = Duplicate(static_cast<pid_t>(request.pid), static_cast<int>(request.data.args[0]));
  if (!socket) return answer->Done(errno);
  if (!notify_->Alive(request.id)) return answer->Done(EINTR);
  sockaddr_storage name = {};
  socklen_t size = sizeof(name);
  IpAddress ip;
  uint16_t port;
  bool host = NetworkOf(socket.get()) == own_cookie_;
  bool rest = IsAtRest(socket.get());  // before its name is looked at
  bool inet = getsockname(socket.get(), reinterpret_cast<sockaddr*>(&name), &size) == 0 &&
              FromSockaddr(&name, size, &ip, &port);
  if (inet && host && !(rest && Classify(ip) == AddressClass::kLoopback && rules_.IsPublished(port))) {
    answer->action = "network.refused";
    answer->address.storage = name;
    answer->address.length = size;
    answer->address.readable = true;
    return Refuse(Judgement(), "not a published port", answer);
  }
  // Known before it listens, or not at all.
  uint64_t mark = inet && host ? ListenerMark(ip, port) : 0;
  if (mark != 0 && published_.Add(socket.get(), mark) == LiveSockets::Added::kNo) return answer->Done(ENOBUFS);
  answer->Done(listen(socket.get(), static_cast<int>(request.data.args[1])) == 0 ? 0 : errno);
  if (mark != 0 && answer->error != 0) published_.Remove(socket.get());  // somebody else listens there
}

}  // namespace qi
