// What getsockopt(2) says of a socket of the payload. Runs in: monitor.
#pragma once
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>

namespace qi {

// -1: not a socket, or not an option of it.
inline int SocketOption(int socket, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  return getsockopt(socket, level, name, &value, &size) == 0 ? value : -1;
}

// Tells network namespaces apart (SO_NETNS_COOKIE, 5.14). 0: not a socket, or a kernel that cannot say.
inline uint64_t NetworkOf(int socket) {
  constexpr int kSoNetnsCookie = 71;
  uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  return getsockopt(socket, SOL_SOCKET, kSoNetnsCookie, &cookie, &size) == 0 ? cookie : 0;
}

// Of the sockets that this process makes.
inline uint64_t NetworkHere() {
  int own = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  uint64_t cookie = own >= 0 ? NetworkOf(own) : 0;
  if (own >= 0) (void)close(own);
  return cookie;
}

}  // namespace qi
