#include "monitor/jail_network.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstring>

#include "core/fd.h"
#include "core/try.h"
#include "core/uapi.h"
#include "monitor/channel.h"

namespace qi {
namespace {

constexpr int kLoopbackIndex = 1;  // LOOPBACK_IFINDEX of every network namespace

// Sends one request of rtnetlink(7) and takes its answer. Returns 0 or an errno.
int Ask(int netlink, const nlmsghdr* request) {
  if (send(netlink, request, request->nlmsg_len, 0) != static_cast<ssize_t>(request->nlmsg_len)) return errno;
  struct {
    nlmsghdr head;
    nlmsgerr body;
    char rest[512];
  } answer = {};
  ssize_t n = RetryEintr([&] { return recv(netlink, &answer, sizeof(answer), 0); });
  if (n < static_cast<ssize_t>(sizeof(answer.head) + sizeof(answer.body)) || answer.head.nlmsg_type != NLMSG_ERROR) {
    return EPROTO;
  }
  return -answer.body.error;
}

constexpr uint16_t kCreate = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;

// "ip route add local default dev lo"
int AddLocalRoute(int netlink, uint8_t family) {
  struct {
    nlmsghdr head;
    rtmsg route;
    rtattr device;
    int32_t index;
  } request = {};
  request.head = {sizeof(request), RTM_NEWROUTE, kCreate, 0, 0};
  request.route.rtm_family = family;
  request.route.rtm_table = RT_TABLE_LOCAL;
  request.route.rtm_protocol = RTPROT_BOOT;
  request.route.rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  request.route.rtm_type = RTN_LOCAL;
  request.device = {RTA_LENGTH(sizeof(request.index)), RTA_OIF};
  request.index = kLoopbackIndex;
  return Ask(netlink, &request.head);
}

// "ip address add ADDRESS dev lo" with a prefix of its whole length.
int AddAddress(int netlink, uint8_t family, const void* address, uint16_t size) {
  struct {
    nlmsghdr head;
    ifaddrmsg about;
    rtattr local;
    uint8_t address[16];
  } request = {};
  request.head = {static_cast<uint32_t>(offsetof(decltype(request), address) + size), RTM_NEWADDR, kCreate, 0, 0};
  request.about.ifa_family = family;
  request.about.ifa_prefixlen = static_cast<uint8_t>(size * 8);
  request.about.ifa_flags = IFA_F_NODAD;
  request.about.ifa_scope = RT_SCOPE_UNIVERSE;
  request.about.ifa_index = kLoopbackIndex;
  request.local = {static_cast<uint16_t>(RTA_LENGTH(size)), IFA_LOCAL};
  memcpy(request.address, address, size);
  return Ask(netlink, &request.head);
}

// Resolvers that are told AI_ADDRCONFIG (getaddrinfo(3)) leave out a family of which there is no address but the
// loopback's. 192.0.0.8 is the dummy address of RFC 7600; the other is of the discard-only block of RFC 6666.
void AddAddresses(int netlink, bool six) {
  constexpr uint8_t kFour[4] = {192, 0, 0, 8};
  constexpr uint8_t kSix[16] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8};
  (void)AddAddress(netlink, AF_INET, kFour, sizeof(kFour));  // without it only such lookups fail
  if (six) (void)AddAddress(netlink, AF_INET6, kSix, sizeof(kSix));
}

Result AddLocalRoutes(const Jail& jail) {
  QI_BEGIN(jail, Step::kAddLocalRoutes);
  UniqueFd netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!netlink) return Fail(Step::kAddLocalRoutes, errno, "socket");
  if (int error = AddLocalRoute(netlink.get(), AF_INET)) return Fail(Step::kAddLocalRoutes, error, "IPv4");
  (void)AddLocalRoute(netlink.get(), AF_INET6);  // a kernel without IPv6 has nothing to route
  AddAddresses(netlink.get(), jail.host_has_ipv6);
  return Ok();
}

bool Set(int socket, int level, int name, int value) {
  return setsockopt(socket, level, name, &value, sizeof(value)) == 0;
}

// On every address of both families, with the address each datagram was sent to.
UniqueFd OpenOnEveryAddress(int type, uint16_t port) {
  UniqueFd made(socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in6 six = {};
  sockaddr_in four = {};
  six.sin6_family = AF_INET6;
  four.sin_family = AF_INET;
  six.sin6_port = four.sin_port = htons(port);
  bool has6 = static_cast<bool>(made);
  if (!has6) made.reset(socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  int fd = made.get();
  bool ok = fd >= 0 && (!has6 || Set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0));
  if (type == SOCK_DGRAM) {
    ok = ok && Set(fd, IPPROTO_IP, IP_PKTINFO, 1) && (!has6 || Set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1));
  }
  ok = ok && (has6 ? bind(fd, reinterpret_cast<sockaddr*>(&six), sizeof(six))
                   : bind(fd, reinterpret_cast<sockaddr*>(&four), sizeof(four))) == 0;
  if (!ok) made.reset();
  return made;
}

UniqueFd OpenOnLoopback(int type, uint16_t port) {
  UniqueFd made(socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (made && bind(made.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) made.reset();
  return made;
}

UniqueFd OpenRelay(const Relay& relay) {
  auto port = static_cast<uint16_t>(relay.port);
  bool stream = relay.kind == RelayKind::kDnsTcp || relay.kind == RelayKind::kInspect;
  bool dns = relay.kind == RelayKind::kDnsUdp || relay.kind == RelayKind::kDnsTcp;
  int type = stream ? SOCK_STREAM : SOCK_DGRAM;
  UniqueFd made = dns ? OpenOnLoopback(type, port) : OpenOnEveryAddress(type, port);
  constexpr int kBacklog = 1024;
  if (made && stream && listen(made.get(), kBacklog) != 0) made.reset();
  return made;
}

}  // namespace

Result RaiseLoopback(const Jail& jail) {
  if (jail.Has(kPlanShareHostNetwork)) return Ok();
  QI_BEGIN(jail, Step::kLoopbackUp);
  UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_fd) return Fail(Step::kLoopbackUp, errno, "socket");
  ifreq request = {};
  memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return ioctl(socket_fd.get(), SIOCSIFFLAGS, &request) == 0 ? Ok() : Fail(Step::kLoopbackUp, errno);
}

Result OpenRelays(const Jail& jail, int channel) {
  if (!jail.Has(kPlanAllowListNetwork)) return Ok();
  QI_TRY(AddLocalRoutes(jail));
  QI_BEGIN(jail, Step::kOpenRelays);
  UniqueFd made[kGrantsPerMessage];
  int fds[kGrantsPerMessage];
  size_t count = 0;
  for (const Relay& relay : List(jail.blob, jail.plan->relays)) {
    char detail[32];
    snprintf(detail, sizeof(detail), "port %u", relay.port);
    if (count == kGrantsPerMessage) return Fail(Step::kOpenRelays, E2BIG);
    made[count] = OpenRelay(relay);
    if (!made[count]) return Fail(Step::kOpenRelays, errno, detail);
    fds[count] = made[count].get();
    ++count;
  }
  InitMessage message = {};
  message.command = InitCommand::kRelays;
  message.count = static_cast<uint32_t>(count);
  int error = SendMessage(channel, &message, sizeof(message), fds, count);
  return error == 0 ? Ok() : Fail(Step::kOpenRelays, error);
}

void ServeFactory(int channel) {
  int domain = 0;
  if (ReceiveMessage(channel, &domain, sizeof(domain)) != 0) return;  // end of file: the init channel tells
  UniqueFd made(socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int fd = made.get();
  (void)SendMessage(channel, &domain, sizeof(domain), &fd, made ? 1 : 0);  // qi-monitor waits, or is gone
}

}  // namespace qi
