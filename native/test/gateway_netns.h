// Test-only: network namespaces of a test's own, and addresses on their loopback. A socket stays in the namespace it
// was made in, so one process can have sockets of several.
#pragma once
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "core/fd.h"
#include "network/address.h"

namespace qi_test {

inline bool RaiseLoopback() {
  qi::UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0;
}

// The first one in a user namespace too, so that no privilege is needed.
inline bool EnterNewNetwork(bool first) {
  return unshare(first ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET) == 0 && RaiseLoopback();
}

// `payload`: a whole netlink request; true when the kernel acknowledges it.
inline bool Netlink(void* request, size_t size) {
  qi::UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  struct {
    nlmsghdr head;
    nlmsgerr body;
    char rest[512];
  } answer = {};
  return send(fd.get(), request, size, 0) == static_cast<ssize_t>(size) &&
         recv(fd.get(), &answer, sizeof(answer), 0) > 0 && answer.head.nlmsg_type == NLMSG_ERROR &&
         answer.body.error == 0;
}

// The kernel finishes an IPv6 address and its routes a moment after it took it: until then packets get lost, and a
// socket that was connected too early keeps the wrong route. So: until one sent to itself arrives.
inline bool AwaitAddress(const qi::IpAddress& ip) {
  for (int i = 0; i < 1000; ++i) {
    int family = ip.Is4() ? AF_INET : AF_INET6;
    qi::UniqueFd fd(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage a;
    socklen_t size = qi::ToSockaddr(ip, 4999, family, &a);
    auto* address = reinterpret_cast<sockaddr*>(&a);
    char byte = 0;
    pollfd wait = {fd.get(), POLLIN, 0};
    if (bind(fd.get(), address, size) == 0 && connect(fd.get(), address, size) == 0 &&
        send(fd.get(), &byte, 1, 0) == 1 && poll(&wait, 1, 5) == 1 && recv(fd.get(), &byte, 1, MSG_DONTWAIT) == 1)
      return true;
    (void)poll(nullptr, 0, 1);
  }
  return false;
}

// "ip addr add ADDRESS dev lo"
inline bool AddAddress(const char* text) {
  struct {
    nlmsghdr head;
    ifaddrmsg address;
    char attributes[64];
  } request = {};
  qi::IpAddress ip;
  if (!qi::ParseAddress(text, &ip)) return false;
  size_t size = ip.Is4() ? 4 : 16;
  request.head.nlmsg_type = RTM_NEWADDR;
  request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
  request.address.ifa_family = ip.Is4() ? AF_INET : AF_INET6;
  request.address.ifa_prefixlen = ip.Is4() ? 32 : 128;
  request.address.ifa_flags = ip.Is4() ? 0 : IFA_F_NODAD;
  request.address.ifa_index = 1;
  size_t at = 0;
  for (auto type : {IFA_LOCAL, IFA_ADDRESS}) {
    rtattr attribute = {};
    attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(size));
    attribute.rta_type = static_cast<unsigned short>(type);
    memcpy(request.attributes + at, &attribute, sizeof(attribute));
    memcpy(request.attributes + at + RTA_LENGTH(0), ip.bytes + (ip.Is4() ? 12 : 0), size);
    at += RTA_ALIGN(RTA_LENGTH(size));
  }
  request.head.nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(sizeof(ifaddrmsg)) + at);
  return Netlink(&request, request.head.nlmsg_len) && AwaitAddress(ip);
}

// "ip route add local default dev lo", as in a jail.
inline bool RouteEverythingHere(uint8_t family) {
  struct {
    nlmsghdr head;
    rtmsg route;
    rtattr device;
    int32_t index;
  } request = {};
  request.head.nlmsg_len = sizeof(request);
  request.head.nlmsg_type = RTM_NEWROUTE;
  request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
  request.route.rtm_family = family;
  request.route.rtm_table = RT_TABLE_LOCAL;
  request.route.rtm_protocol = RTPROT_BOOT;
  request.route.rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  request.route.rtm_type = RTN_LOCAL;
  request.device.rta_len = RTA_LENGTH(sizeof(request.index));
  request.device.rta_type = RTA_OIF;
  request.index = 1;
  return Netlink(&request, sizeof(request));
}

// A non-blocking socket; `address` nullptr: unbound. Stream sockets with an address listen.
inline qi::UniqueFd SocketAt(int type, const char* address, uint16_t port) {
  qi::IpAddress ip;
  bool every = address != nullptr && strcmp(address, "::") == 0;
  if (address != nullptr && !qi::ParseAddress(address, &ip)) return qi::UniqueFd();
  int family = address != nullptr && !every && ip.Is4() ? AF_INET : AF_INET6;
  qi::UniqueFd fd(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int off = 0, on = 1;
  if (every) (void)setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  (void)setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_storage a;
  socklen_t size = qi::ToSockaddr(ip, port, family, &a);
  if (address != nullptr && bind(fd.get(), reinterpret_cast<sockaddr*>(&a), size) != 0) fd.reset();
  if (fd && type == SOCK_STREAM && address != nullptr && listen(fd.get(), 512) != 0) fd.reset();
  return fd;
}

// What pid 1 does for a UDP relay.
inline bool SayDestinations(int fd) {
  int on = 1;
  return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) == 0 &&
         setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) == 0;
}

// Begins to connect a new non-blocking socket.
inline qi::UniqueFd Dial(int type, const char* address, uint16_t port) {
  qi::IpAddress ip;
  if (!qi::ParseAddress(address, &ip)) return qi::UniqueFd();
  int family = ip.Is4() ? AF_INET : AF_INET6;
  qi::UniqueFd fd(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_storage a;
  socklen_t size = qi::ToSockaddr(ip, port, family, &a);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&a), size) != 0 && errno != EINPROGRESS) fd.reset();
  return fd;
}

}  // namespace qi_test
