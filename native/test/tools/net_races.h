// What is looked at is changed by another thread meanwhile. Each act counts what should not have come about.
#pragma once
#include <net/if.h>
#include <sys/ioctl.h>

#include "net_attack.h"

namespace net_attack {

// ROUNDS ALLOWED DENIED PORT: the address, between the look and the connect.
inline void SwapAddress(const Words& w) {
  const int rounds = Number(w, 0, 1000), port = Number(w, 3, 7);
  const Where allowed(w[1], port), denied(w[2], port);
  Where shared = allowed;
  auto* raw = reinterpret_cast<volatile uint32_t*>(&reinterpret_cast<sockaddr_in*>(&shared.storage)->sin_addr.s_addr);
  uint32_t one = *raw, other = reinterpret_cast<const sockaddr_in*>(&denied.storage)->sin_addr.s_addr;
  int right = 0, wrong = 0, refused = 0;
  {
    Meanwhile flip([=] { *raw = *raw == one ? other : one; });
    for (int i = 0; i < rounds; ++i) {
      Socket s(AF_INET, SOCK_STREAM);
      linger now = {1, 0};  // no heap of sockets in TIME_WAIT
      (void)setsockopt(s.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
      if (s.Connect(shared) != 0) {
        ++refused;
      } else {
        PeerIs(s.get(), denied) ? ++wrong : ++right;
      }
    }
  }
  printf("right %d wrong %d refused %d\n", right > 0, wrong > 0, refused > 0);
}

// ROUNDS ALLOWED DENIED PORT: the socket under a number, among a TCP, a UDP and a local one.
inline void SwapSocket(const Words& w) {
  const int rounds = Number(w, 0, 1000), port = Number(w, 3, 7);
  const Where allowed(w[1], port), denied(w[2], port);
  constexpr int kNumber = 200;
  int wrong = 0, right = 0;
  for (int i = 0; i < rounds; ++i) {
    Socket tcp(AF_INET, SOCK_STREAM), udp(AF_INET, SOCK_DGRAM), local(AF_UNIX, SOCK_STREAM);
    linger now = {1, 0};
    (void)setsockopt(tcp.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    int kinds[] = {udp.get(), tcp.get(), local.get(), tcp.get()};
    (void)dup2(kinds[0], kNumber);
    int next = 0;
    Meanwhile flip([&] { (void)dup2(kinds[++next & 3], kNumber); });
    for (const Where* to : {&denied, &denied, &denied, &denied, &allowed}) (void)connect(kNumber, to->get(), to->size);
    if (PeerIs(tcp.get(), denied)) ++wrong;
    if (PeerIs(tcp.get(), allowed)) ++right;
  }
  (void)close(kNumber);
  printf("right %d wrong %d\n", right > 0, wrong > 0);
}

// ROUNDS PORT: a bind of a local socket (which is let go on) that becomes one of TCP, by the address and by the number.
inline void SwapBind(const Words& w) {
  const int rounds = Number(w, 0, 1000);
  const Where tcp_address("0.0.0.0", Number(w, 1, 0));
  constexpr int kNumber = 201;
  int bound = 0;
  for (int i = 0; i < rounds; ++i) {
    Where shared = Where::Unix("/tmp/swap-until-it-is-long-enough-" + std::to_string(i));
    if (i % 2 != 0) reinterpret_cast<sockaddr*>(&shared.storage)->sa_family = AF_NETLINK;
    const sa_family_t innocent = reinterpret_cast<sockaddr*>(&shared.storage)->sa_family;
    Socket tcp(AF_INET, SOCK_STREAM), local(AF_UNIX, SOCK_STREAM);
    auto* family = reinterpret_cast<volatile sa_family_t*>(&shared.storage);
    auto* rest = reinterpret_cast<char*>(&shared.storage) + sizeof(sa_family_t);
    // A path whose first bytes are a port and an address: "/tm" is what the rest is, until it is changed.
    memcpy(rest, reinterpret_cast<const char*>(&tcp_address.storage) + sizeof(sa_family_t), 6);
    (void)dup2(tcp.get(), kNumber);
    bool flipped = false;
    Meanwhile flip([&] {
      flipped = !flipped;
      *family = flipped ? static_cast<sa_family_t>(AF_INET) : innocent;
      (void)dup2(i % 3 == 0 && flipped ? local.get() : tcp.get(), kNumber);
    });
    for (int k = 0; k < 8; ++k) (void)bind(kNumber, shared.get(), shared.size);
    sockaddr_in name = NameOf(tcp.get(), false);
    if (name.sin_port != 0) ++bound;
  }
  (void)close(kNumber);
  printf("bound %d\n", bound > 0);
}

inline bool ShowsOthers(int fd) {
  ifreq room[32] = {};
  ifconf all = {};
  all.ifc_len = sizeof(room);
  all.ifc_req = room;
  if (ioctl(fd, SIOCGIFCONF, &all) != 0) return false;
  for (size_t i = 0; i < static_cast<size_t>(all.ifc_len) / sizeof(ifreq); ++i) {
    if (strcmp(room[i].ifr_name, "lo") != 0) return true;
  }
  return false;
}

// ROUNDS: what interfaces there are, of a UDP socket of the jail that becomes a TCP socket of the host.
inline void SwapIoctl(const Words& w) {
  constexpr int kNumber = 202;
  Socket tcp(AF_INET, SOCK_STREAM), udp(AF_INET, SOCK_DGRAM);
  printf("udp %d\n", ShowsOthers(udp.get()));
  printf("tcp %d\n", ShowsOthers(tcp.get()));
  bool flipped = false;
  int leaks = 0;
  (void)dup2(udp.get(), kNumber);
  Meanwhile flip([&] { (void)dup2((flipped = !flipped) ? tcp.get() : udp.get(), kNumber); });
  for (int i = 0; i < Number(w, 0, 1000); ++i) leaks += ShowsOthers(kNumber);
  printf("swapped %d\n", leaks > 0);
}

// ROUNDS ALLOWED DENIED PORT: flags of sendto are in a register; its address is not.
inline void SwapSendto(const Words& w) {
  const int rounds = Number(w, 0, 1000), port = Number(w, 3, 7);
  const Where allowed(w[1], port), denied(w[2], port);
  constexpr int kNumber = 203;
  int connected = 0;
  for (int i = 0; i < rounds; ++i) {
    Socket tcp(AF_INET, SOCK_STREAM), udp(AF_INET, SOCK_DGRAM);
    (void)dup2(udp.get(), kNumber);
    bool flipped = false;
    Meanwhile flip([&] { (void)dup2((flipped = !flipped) ? tcp.get() : udp.get(), kNumber); });
    for (int k = 0; k < 8; ++k) (void)sendto(kNumber, "x", 1, MSG_NOSIGNAL, denied.get(), denied.size);
    if (NameOf(tcp.get(), true).sin_port != 0) ++connected;
  }
  (void)close(kNumber);
  printf("connected %d\n", connected > 0);
}

// ROUNDS BLACKHOLE PORT: an attempt that is shut down becomes unconnected: now it could listen on a port of the host.
inline void SwapListen(const Words& w) {
  const Where hole(w[1], Number(w, 2, 7));
  int listening = 0;
  for (int i = 0; i < Number(w, 0, 100); ++i) {
    Socket tcp(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
    Where any("0.0.0.0", 0);
    if (i % 2 != 0) (void)bind(tcp.get(), any.get(), any.size);
    (void)tcp.Connect(hole);
    Meanwhile shut([&] { (void)shutdown(tcp.get(), SHUT_RDWR); });
    for (int k = 0; k < 4; ++k) (void)listen(tcp.get(), 1);
    int accepts = 0;
    socklen_t size = sizeof(accepts);
    (void)getsockopt(tcp.get(), SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size);
    listening += accepts;
  }
  printf("listening %d\n", listening > 0);
}

}  // namespace net_attack
