#include "monitor/host_sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstring>

#include "core/try.h"
#include "core/uapi.h"
#include "monitor/channel.h"
#include "monitor/socket_facts.h"
#include "monitor/swap.h"
#include "monitor/target.h"

namespace qi {
namespace {

uint64_t NowMs() { return NowNs() / 1000000u; }

// Such a rule means that address, whatever it is.
bool NamesOneAddress(const Rule* rule) {
  return rule != nullptr && rule->kind == Rule::Kind::kNet && rule->prefix == 128;
}

constexpr uint16_t kDnsPort = 53;
constexpr uint16_t kDiscardPort = 9;  // any port would do

}  // namespace

Result HostSockets::Init(UniqueFd gateway, UniqueFd factory) {
  const PlanString& text = jail_.plan->network_rules;
  if (rules_.Parse(jail_.Text(text), text.length, false) != 0) return Fail(Step::kCheckPlan, EINVAL, "network rules");
  const PlanString& resolver = jail_.plan->resolver;
  link_.Take(static_cast<UniqueFd&&>(gateway), this, jail_.Text(resolver), resolver.length);
  factory_ = static_cast<UniqueFd&&>(factory);
  own_cookie_ = NetworkHere();
  if (own_cookie_ == 0)
    return Fail(Step::kStartGateway, ENOPROTOOPT, "this kernel cannot tell network namespaces apart");
  probe4_.reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  probe6_.reset(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));  // a host without IPv6 has none
  if (!probe4_ || !published_.Init()) return Fail(Step::kStartGateway, errno, "sockets");
  return Ok();
}

void HostSockets::OnSocket(const seccomp_notif& request, Answer* answer) {
  auto domain = static_cast<int>(request.data.args[0]), type = static_cast<int>(request.data.args[1]),
       protocol = static_cast<int>(request.data.args[2]);
  constexpr int kFlags = SOCK_CLOEXEC | SOCK_NONBLOCK;
  bool inet = domain == AF_INET || domain == AF_INET6;
  if (!inet || (type & ~kFlags) != SOCK_STREAM || (protocol != 0 && protocol != IPPROTO_TCP)) return;
  UniqueFd made(socket(domain, type | SOCK_CLOEXEC, protocol));
  if (!made) return answer->Done(errno);
  notify_->Inject(request.id, made.get(), (type & SOCK_CLOEXEC) != 0, answer);
}

void HostSockets::OnConnect(const seccomp_notif& request, Answer* answer) {
  UniqueFd socket = Duplicate(static_cast<pid_t>(request.pid), static_cast<int>(request.data.args[0]));
  if (!socket) return answer->Done(errno);
  if (!notify_->Alive(request.id)) return answer->Done(EINTR);
  (void)link_.Drain();  // gone: the loop sees it and ends the jail
  int family = answer->address.family();
  // Dissolving an association, and a family the socket does not have, lead nowhere.
  if (family == AF_UNSPEC || SocketOption(socket.get(), SOL_SOCKET, SO_DOMAIN) != family) {
    return Attempt(request, static_cast<UniqueFd&&>(socket), false, answer);
  }
  int type = SocketOption(socket.get(), SOL_SOCKET, SO_TYPE);
  if (type == SOCK_DGRAM) return ConnectDatagram(request, socket.release(), answer);
  if (type == SOCK_STREAM) return ConnectStream(request, socket.release(), answer);
  answer->Refuse(EACCES, "neither TCP nor UDP");
}

// Nothing sent on the jail's own UDP sockets leaves it but by the gateway, which judges every datagram; what is refused
// here is refused so that the payload learns of it at once.
void HostSockets::ConnectDatagram(const seccomp_notif& request, int socket, Answer* answer) {
  UniqueFd own(socket);
  IpAddress ip;
  uint16_t port;
  if (!FromSockaddr(&answer->address.storage, answer->address.length, &ip, &port)) return answer->Done(EINVAL);
  bool loopback = IsOwnLoopback(ip);
  if (!loopback) {
    Judgement judgement = rules_.Judge(ip, port, Transport::kUdp, records_, NowMs());
    // getaddrinfo(3) sorts addresses by connecting to each without sending (RFC 6724): for an address that a name led
    // to that is no attempt at anything, and whether the host has a way there is what it wants to know.
    bool probing = records_.Next(ip, NowMs()) != nullptr;
    // What is only permitted the gateway records, when something is sent.
    if (!judgement.allowed && !judgement.permit && !probing) return Refuse(judgement, nullptr, answer);
    if (Probe(ip, port) < 0) return answer->Done(errno);
  } else if (port != kDnsPort && !MayUseOwnLoopback("the jail's own loopback is not allowed", answer)) {
    return;
  }
  Attempt(request, static_cast<UniqueFd&&>(own), false, answer);
}

void HostSockets::ConnectStream(const seccomp_notif& request, int fd, Answer* answer) {
  UniqueFd socket(fd);
  IpAddress ip;
  uint16_t port;
  if (!FromSockaddr(&answer->address.storage, answer->address.length, &ip, &port)) return answer->Done(EINVAL);
  if (IsOwnLoopback(ip)) {
    if (MayPassLoopback(ip, port)) {
      // "Any" is spelled out: which family's loopback the kernel takes it for depends on what the socket is bound to.
      answer->address.length = ToSockaddr(LoopbackOf(ip), port, answer->address.family(), &answer->address.storage);
      return ConnectOut(Where::kHost, request, static_cast<UniqueFd&&>(socket), answer);
    }
    static constexpr char kWhy[] = "the loopback of the host, and the jail's own, are not allowed";
    if (port != kDnsPort && !MayUseOwnLoopback(kWhy, answer)) return;
    return ConnectIn(Where::kJail, request, static_cast<UniqueFd&&>(socket), false, answer);
  }
  Judgement judgement = rules_.Judge(ip, port, Transport::kTcp, records_, NowMs());
  if (judgement.name != nullptr) answer->host = *judgement.name;
  if (!judgement.allowed && !judgement.permit && !(approved_ && judgement.ask)) {
    if (judgement.ask && Ask(request, ip, port, judgement, answer)) return;
    return Refuse(judgement, nullptr, answer);
  }
  if (!NamesOneAddress(judgement.rule) && IsOwnAddress(ip))
    return Refuse(judgement, "an address of the host itself", answer);
  if (judgement.permit) answer->Permit(rules_.on_denied(), judgement.reason);
  ConnectOut(judgement.inspect ? Where::kJail : Where::kHost, request, static_cast<UniqueFd&&>(socket), answer);
}

// To somebody outside, by way of the gateway or directly.
void HostSockets::ConnectOut(Where where, const seccomp_notif& request, UniqueFd socket, Answer* answer) {
  if (!live_->Room(rules_.max_connections())) {
    return Refuse(Judgement(), "maxConnections: as many connections are open", answer);
  }
  ConnectIn(where, request, static_cast<UniqueFd&&>(socket), true, answer);
}

// Connects the payload's socket, or, where that is of the other network, one that then takes its place.
void HostSockets::ConnectIn(Where where, const seccomp_notif& request, UniqueFd socket, bool live, Answer* answer) {
  if ((NetworkOf(socket.get()) == own_cookie_) == (where == Where::kHost)) {
    return Attempt(request, static_cast<UniqueFd&&>(socket), live, answer);
  }
  UniqueFd fresh = Fresh(where, socket.get());
  if (!fresh) return answer->Done(errno);
  Swap swap(notify_, request, socket.get(), root_);
  const char* rule = nullptr;
  if (!swap.Prepare(fresh.get(), &rule)) return Refuse(Judgement(), rule, answer);
  if (live && live_->Add(fresh.get(), 0) == LiveSockets::Added::kNo) return answer->Done(ENOBUFS);
  bool blocking;
  const Address& address = answer->address;
  int error = ConnectWithoutWaiting(fresh.get(), &address.storage, address.length, &blocking);
  if (error != 0 && error != EINPROGRESS) return answer->Done(error);
  if (int failed = swap.Install(fresh.get())) return answer->Done(failed);
  answer->Done(error);
  if (error != EINPROGRESS || !blocking) return;
  answer->deferred =
      pending_->Add(request.id, static_cast<pid_t>(request.pid), static_cast<UniqueFd&&>(fresh), address, live);
  if (!answer->deferred) answer->Done(EAGAIN);
}

void HostSockets::Attempt(const seccomp_notif& request, UniqueFd socket, bool live, Answer* answer) {
  // Counted from the attempt on: of many that wait each would find room.
  LiveSockets::Added added = live ? live_->Add(socket.get(), 0) : LiveSockets::Added::kBefore;
  if (added == LiveSockets::Added::kNo) return answer->Done(ENOBUFS);
  live = added == LiveSockets::Added::kNew;
  bool blocking;
  const Address& address = answer->address;
  int error = ConnectWithoutWaiting(socket.get(), &address.storage, address.length, &blocking);
  answer->Done(error);
  bool going = error == EINPROGRESS || error == EALREADY;
  if (live && error != 0 && !going) live_->Remove(socket.get());
  if (!going || !blocking) return;
  answer->deferred =
      pending_->Add(request.id, static_cast<pid_t>(request.pid), static_cast<UniqueFd&&>(socket), address, live);
  if (!answer->deferred) answer->Done(EAGAIN);
}

// A socket like `like` in either network; one of the jail's is made by pid 1, which lives there.
UniqueFd HostSockets::Fresh(Where where, int like) const {
  int domain = SocketOption(like, SOL_SOCKET, SO_DOMAIN);
  if (where == Where::kHost) return UniqueFd(socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int made = -1;
  size_t count = 1;
  int error = SendMessage(factory_.get(), &domain, sizeof(domain));
  if (error == 0) error = ReceiveMessage(factory_.get(), &domain, sizeof(domain), &made, &count);
  errno = error != 0 ? error : EMFILE;
  return UniqueFd(error == 0 && count == 1 ? made : -1);
}

// A UDP socket that would send there, or -1.
int HostSockets::Probe(const IpAddress& ip, uint16_t port) const {
  int probe = ip.Is4() ? probe4_.get() : probe6_.get();
  sockaddr_storage address = {};
  // Of no family: else it would keep the source address of the probe before.
  (void)connect(probe, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  socklen_t size = ToSockaddr(ip, port == 0 ? kDiscardPort : port, ip.Is4() ? AF_INET : AF_INET6, &address);
  return connect(probe, reinterpret_cast<sockaddr*>(&address), size) == 0 ? probe : -1;
}

// The kernel routes what is sent to an address of its own from that very address.
bool HostSockets::IsOwnAddress(const IpAddress& ip) const {
  int probe = Probe(ip, kDiscardPort);
  if (probe < 0) return false;  // no way there at all
  sockaddr_storage address;
  socklen_t size = sizeof(address);
  IpAddress from;
  uint16_t port;
  return getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
         !FromSockaddr(&address, size, &from, &port) || from == ip;
}

// Inside the jail either way: permissive records that strict would have refused it.
bool HostSockets::MayUseOwnLoopback(const char* why, Answer* answer) const {
  if (jail_.Has(kPlanInnerLoopback)) return true;
  if (rules_.permissive()) {
    answer->Permit(rules_.on_denied(), why);
    return true;
  }
  Refuse(Judgement(), why, answer);
  return false;
}

void HostSockets::Refuse(const Judgement& judgement, const char* reason, Answer* answer) const {
  answer->Refuse(rules_.on_denied(), reason != nullptr ? reason : judgement.reason);
}

// Goes on whatever it is: on a UDP socket of the jail it reaches the gateway, which judges for itself, and without
// MSG_FASTOPEN, which is in a register, a TCP socket takes no address.
void HostSockets::OnSendTo(Answer* answer) {
  IpAddress ip;
  uint16_t port;
  answer->proceed = true;
  if (!FromSockaddr(&answer->address.storage, answer->address.length, &ip, &port) || IsOwnLoopback(ip)) return;
  (void)link_.Drain();  // gone: the loop sees it
  Judgement judgement = rules_.Judge(ip, port, Transport::kUdp, records_, NowMs());
  if (!judgement.allowed && !judgement.permit) Refuse(judgement, nullptr, answer);
}

size_t HostSockets::Update(const char* text, size_t size, bool add) {
  // The lines are tried first and the gateway told before they hold here: a refused update leaves the old rules.
  Rules tried;
  size_t line = tried.Parse(text, size, false);
  if (line != 0) return line;
  if (link_.SendRules(text, size, add) != 0) return SIZE_MAX;
  return rules_.Parse(text, size, add);
}

}  // namespace qi
