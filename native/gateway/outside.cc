#include "gateway/outside.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <cstdlib>

namespace qi {

UniqueFd ConnectOutside(const IpAddress& address, uint16_t port, int type) {
  int family = address.Is4() ? AF_INET : AF_INET6;
  UniqueFd fd(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fd;
  sockaddr_storage to;
  socklen_t size = ToSockaddr(address, port, family, &to);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), size) != 0 && errno != EINPROGRESS) {
    int error = errno;
    fd.reset();
    errno = error;
    return fd;
  }
  int on = 1;
  if (type == SOCK_STREAM) {
    // Best effort: the relay is right without them, only slower, or later to notice a peer that vanished.
    (void)setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  }
  return fd;
}

bool IsOwnAddress(const IpAddress& address) {
  constexpr uint16_t kDiscard = 9;  // any port would do
  UniqueFd fd = ConnectOutside(address, kDiscard, SOCK_DGRAM);
  sockaddr_storage from;
  socklen_t size = sizeof(from);
  IpAddress mine;
  uint16_t port;
  return fd && getsockname(fd.get(), reinterpret_cast<sockaddr*>(&from), &size) == 0 &&
         FromSockaddr(&from, size, &mine, &port) && mine == address;
}

void Reset(UniqueFd* fd) {
  linger now = {1, 0};
  if (*fd) (void)setsockopt(fd->get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));  // else an orderly end, no worse
  fd->reset();
}

uint64_t RandomNumber() {
  uint64_t number;
  // Guessable ids would let others answer our questions: rather no gateway at all. Small requests do not fail.
  if (RetryEintr([&] { return getrandom(&number, sizeof(number), 0); }) != static_cast<ssize_t>(sizeof(number)))
    _exit(1);
  return number;
}

}  // namespace qi
