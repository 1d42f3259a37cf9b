// One call after the other, each of which would lead somewhere that no rule allows.
#pragma once
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>

#include <csignal>

#include "net_attack.h"

namespace net_attack {

// HOST:PORT… as `HOST PORT HOST PORT…`
inline void ConnectEach(const Words& w) {
  for (size_t i = 0; i + 1 < w.size(); i += 2) {
    const Where to(w[i], Number(w, i + 1, 7));
    Socket s(to.family(), SOCK_STREAM | SOCK_NONBLOCK);
    long result = s.Connect(to);
    if (result != 0 && errno == EINPROGRESS) {
      pollfd wait = {s.get(), POLLOUT, 0};
      (void)poll(&wait, 1, 5000);
      int error = 0;
      socklen_t size = sizeof(error);
      (void)getsockopt(s.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      errno = error;
      result = error == 0 ? 0 : -1;
    }
    Say(w[i] + " " + w[i + 1], result);
  }
}

// ALLOWED DENIED PORT
inline void Unspec(const Words& w) {
  const Where allowed(w[0], Number(w, 2, 7)), denied(w[1], Number(w, 2, 7));
  const Where any("0.0.0.0", 5555), port0("0.0.0.0", 0), other(w[1], 5555);
  Where none;
  none.size = sizeof(sockaddr_in);
  Socket s(AF_INET, SOCK_STREAM);
  Say("connect", s.Connect(allowed));
  Say("dissolve", s.Connect(none));
  Say("denied", s.Connect(denied));
  Say("bind denied", bind(s.get(), other.get(), other.size));
  Say("bind any", bind(s.get(), any.get(), any.size));
  Say("listen", listen(s.get(), 1));
  Say("again", s.Connect(allowed));
  Socket bound(AF_INET, SOCK_STREAM);
  Say("bind 0", bind(bound.get(), port0.get(), port0.size));
  Say("listen bound", listen(bound.get(), 1));
  Say("bind no family", bind(bound.get(), none.get(), none.size));
  Say("connect bound", bound.Connect(allowed));
}

// ALLOWED DENIED BLACKHOLE PORT: a second connect of a socket that is connected, that failed, that is on its way.
inline void Again(const Words& w) {
  const Where allowed(w[0], Number(w, 3, 7)), denied(w[1], Number(w, 3, 7)), hole(w[2], Number(w, 3, 7));
  const Where nobody(w[0], 99);
  Socket connected(AF_INET, SOCK_STREAM), failed(AF_INET, SOCK_STREAM), going(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
  Say("connect", connected.Connect(allowed));
  Say("connected", connected.Connect(denied));
  printf("peer: %s\n", PeerIs(connected.get(), allowed) && Echoes(connected.get()) ? "kept" : "another");
  Say("fail", failed.Connect(nobody));
  Say("failed", failed.Connect(denied));
  Say("failed, allowed", failed.Connect(allowed));
  Say("go", going.Connect(hole));
  Say("going", going.Connect(denied));
  Say("shut down", shutdown(going.get(), SHUT_RDWR));
  Say("listen", listen(going.get(), 1));
  Say("shut down, denied", going.Connect(denied));
}

// HOST PORT: data in the first segment is a connect of its own.
inline void FastOpen(const Words& w) {
  Where to(w[0], Number(w, 1, 7));
  iovec part = {const_cast<char*>("x"), 1};
  msghdr one = {};
  one.msg_name = &to.storage;
  one.msg_namelen = to.size;
  one.msg_iov = &part;
  one.msg_iovlen = 1;
  mmsghdr many = {one, 0};
  Socket a(AF_INET, SOCK_STREAM), b(AF_INET, SOCK_STREAM), c(AF_INET, SOCK_STREAM), d(AF_INET, SOCK_STREAM);
  Say("sendto", sendto(a.get(), "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, to.get(), to.size));
  Say("sendmsg", sendmsg(b.get(), &one, MSG_FASTOPEN | MSG_NOSIGNAL));
  Say("sendmmsg", sendmmsg(c.get(), &many, 1, MSG_FASTOPEN | MSG_NOSIGNAL));
  int on = 1;
  Say("option", setsockopt(d.get(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)));
  printf("connected: %d\n",
         (NameOf(a.get(), true).sin_port | NameOf(b.get(), true).sin_port | NameOf(c.get(), true).sin_port) != 0);
}

inline void Families(const Words&) {
  constexpr struct {
    const char* name;
    int family, type, protocol;
  } kKinds[] = {{"tcp", AF_INET, SOCK_STREAM, 0},
                {"tcp6", AF_INET6, SOCK_STREAM, 6},
                {"udp", AF_INET, SOCK_DGRAM, 17},
                {"local", AF_UNIX, SOCK_STREAM, 0},
                {"route", AF_NETLINK, SOCK_RAW, 0},
                {"local datagrams", AF_UNIX, SOCK_DGRAM, 0},
                {"raw", AF_INET, SOCK_RAW, 255},
                {"raw tcp", AF_INET, SOCK_RAW, 6},
                {"raw6", AF_INET6, SOCK_RAW, 58},
                {"ping", AF_INET, SOCK_DGRAM, 1},
                {"packet", AF_PACKET, SOCK_RAW, 0x300},
                {"packet datagrams", AF_PACKET, SOCK_DGRAM, 0},
                {"vsock", AF_VSOCK, SOCK_STREAM, 0},
                {"sock-diag", AF_NETLINK, SOCK_RAW, 4},
                {"netfilter", AF_NETLINK, SOCK_RAW, 12},
                {"uevents", AF_NETLINK, SOCK_DGRAM, 15},
                {"generic", AF_NETLINK, SOCK_RAW, 16},
                {"mptcp", AF_INET, SOCK_STREAM, 262},
                {"mptcp6", AF_INET6, SOCK_STREAM, 262},
                {"smc", 43, SOCK_STREAM, 0},
                {"sctp", AF_INET, SOCK_STREAM, 132},
                {"sctp many", AF_INET, SOCK_SEQPACKET, 132},
                {"dccp", AF_INET, 6, 33},
                {"udplite", AF_INET, SOCK_DGRAM, 136},
                {"smc by protocol", AF_INET, SOCK_STREAM, 256},
                {"alg", AF_ALG, SOCK_SEQPACKET, 0},
                {"bluetooth", 31, SOCK_RAW, 1},
                {"tipc", 30, SOCK_STREAM, 0},
                {"rds", 21, SOCK_SEQPACKET, 0},
                {"kcm", 41, SOCK_DGRAM, 0},
                {"xdp", 44, SOCK_RAW, 0},
                {"high bits", AF_INET, SOCK_STREAM | 0x100000, 0}};
  for (const auto& kind : kKinds) {
    Socket s(socket(kind.family, kind.type, kind.protocol));
    Say(kind.name, s.get());
  }
  io_uring_params params = {};
  Say("io_uring", syscall(SYS_io_uring_setup, 4, &params));
  int pair[2];
  Say("pair of tcp", socketpair(AF_INET, SOCK_STREAM, 0, pair));
  Say("pair of datagrams", socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
}

inline void Options(const Words&) {
  constexpr struct {
    const char* name;
    int level, option;
  } kOptions[] = {{"nodelay", IPPROTO_TCP, TCP_NODELAY},
                  {"source route", IPPROTO_IP, 4},
                  {"transparent", IPPROTO_IP, 19},
                  {"unicast interface", IPPROTO_IP, 50},
                  {"bind to device", SOL_SOCKET, 25},
                  {"bind to index", SOL_SOCKET, 62},
                  {"filter", SOL_SOCKET, 26},
                  {"bpf", SOL_SOCKET, 50},
                  {"reuseport bpf", SOL_SOCKET, 52},
                  {"fast open", IPPROTO_TCP, 30},
                  {"fast open without a cookie", IPPROTO_TCP, 34},
                  {"fast open key", IPPROTO_TCP, 33},
                  {"upper protocol", IPPROTO_TCP, 31},
                  {"repair", IPPROTO_TCP, 19},
                  {"md5", IPPROTO_TCP, 14},
                  {"zero copy", IPPROTO_TCP, 35},
                  {"other family", IPPROTO_IPV6, 1},
                  {"routing header", IPPROTO_IPV6, 57},
                  {"hop options", IPPROTO_IPV6, 54},
                  {"packet options", IPPROTO_IPV6, 6},
                  {"source", IPPROTO_IPV6, 50},
                  {"unicast interface 6", IPPROTO_IPV6, 76},
                  {"anycast", IPPROTO_IPV6, 27},
                  {"group", SOL_IP, 42}};
  Socket s(AF_INET6, SOCK_STREAM);
  char value[64] = {1};
  for (const auto& o : kOptions) {
    long result = setsockopt(s.get(), o.level, o.option, value, o.level == SOL_SOCKET ? sizeof(value) : 4);
    Say(o.name, result);
  }
}

inline void Ioctls(const Words&) {
  Socket tcp(AF_INET, SOCK_STREAM), udp(AF_INET, SOCK_DGRAM);
  constexpr struct {
    const char* name;
    unsigned command;
  } kCommands[] = {{"configuration", SIOCGIFCONF},
                   {"name", SIOCGIFNAME},
                   {"address", SIOCGIFADDR},
                   {"hardware", SIOCGIFHWADDR},
                   {"ethtool", 0x8946},
                   {"network", 0x894c},
                   {"arp", 0x8954},
                   {"wireless name", 0x8b01},
                   {"wireless id", 0x8b1b},
                   {"access point", 0x8b15},
                   {"private", 0x89f0}};
  for (const auto& c : kCommands) {
    char room[4096] = {};
    ifreq request = {};
    memcpy(request.ifr_name, "lo", 3);
    request.ifr_ifindex = c.command == SIOCGIFNAME ? 1 : 0;
    memcpy(room, &request, sizeof(request));
    ifconf all = {};
    all.ifc_len = 1024;
    all.ifc_buf = room + 1024;
    if (c.command == SIOCGIFCONF) memcpy(room, &all, sizeof(all));
    char copy[4096];
    memcpy(copy, room, sizeof(room));
    Say(std::string("tcp ") + c.name, ioctl(tcp.get(), c.command, room));
    Say(std::string("udp ") + c.name, ioctl(udp.get(), c.command, copy));
  }
}

// ALLOWED PORT: lengths and pointers that lie.
inline void Lies(const Words& w) {
  const Where to(w[0], Number(w, 1, 7));
  auto* pages = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  (void)munmap(pages + 4096, 4096);
  auto attempt = [&](const char* what, const void* address, long length) {
    Socket s(AF_INET, SOCK_STREAM), udp(AF_INET, SOCK_DGRAM);
    Say(std::string("connect ") + what, syscall(SYS_connect, s.get(), address, length));
    Say(std::string("bind ") + what, syscall(SYS_bind, s.get(), address, length));
    Say(std::string("sendto ") + what, syscall(SYS_sendto, udp.get(), "x", 1, 0, address, length));
  };
  for (long length : {0l, 1l, 2l, 15l, 129l, 1l << 20, -1l, 0x7fffffffl, 0x100000000l})
    attempt(std::to_string(length).c_str(), &to.storage, length);
  attempt("nowhere", reinterpret_cast<void*>(0x10), to.size);
  attempt("kernel", reinterpret_cast<void*>(0xffffffff80000000ul), to.size);
  attempt("nothing", nullptr, to.size);
  memcpy(pages + 4096 - 8, &to.storage, 8);
  attempt("across", pages + 4096 - 8, to.size);
  memcpy(pages + 4096 - to.size, &to.storage, to.size);
  Socket s(AF_INET, SOCK_STREAM);
  Say("connect at the edge", s.Connect(to));
  Say("connect of no socket", syscall(SYS_connect, 0, to.get(), to.size));
  Say("connect of nothing", syscall(SYS_connect, 999, to.get(), to.size));
  Honest(to);
}

// PATH: a descriptor of a socket to whoever listens there.
inline void PassSocket(const Words& w) {
  const Where to = Where::Unix(w[0]);
  Socket local(AF_UNIX, SOCK_STREAM), tcp(AF_INET, SOCK_STREAM);
  if (local.Connect(to) != 0) return Say("connect", -1);
  char byte = 'x';
  iovec part = {&byte, 1};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = sizeof(room);
  cmsghdr* c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  int fd = tcp.get();
  memcpy(CMSG_DATA(c), &fd, sizeof(fd));
  Say("pass", sendmsg(local.get(), &message, MSG_NOSIGNAL));
}

// PATH: takes one connection and says whether a descriptor came by it.
inline void TakeSocket(const Words& w) {
  const Where at = Where::Unix(w[0]);
  Socket local(AF_UNIX, SOCK_STREAM);
  Say("bind", bind(local.get(), at.get(), at.size));
  if (w[0][0] == '/') (void)!chmod(w[0].c_str(), 0777);
  Say("listening", listen(local.get(), 4));
  pollfd wait[2] = {{local.get(), POLLIN, 0}, {0, POLLIN, 0}};
  (void)poll(wait, 2, 20000);
  if (wait[0].revents == 0) return (void)printf("taken: nobody\n");
  Socket peer(accept(local.get(), nullptr, nullptr));
  char room[256];
  iovec part = {room, 1};
  char control[256];
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  (void)recvmsg(peer.get(), &message, 0);
  printf("taken: %s\n", CMSG_FIRSTHDR(&message) != nullptr ? "a descriptor" : "nothing");
}

}  // namespace net_attack
