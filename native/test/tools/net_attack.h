// What the acts of net_attack have in common. Runs in: the payload of a network test, or bare for its control.
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "core/errno_names.h"

namespace net_attack {

using Words = std::vector<std::string>;

// One line: what was tried, and `ok` or the name of the errno.
inline void Say(const std::string& what, long result) {
  int error = errno;
  printf("%s: %s\n", what.c_str(), result >= 0 ? "ok" : qi::ErrnoName(error));
  (void)fflush(stdout);
}

inline int Number(const Words& words, size_t index, int otherwise) {
  return index < words.size() ? atoi(words[index].c_str()) : otherwise;
}

struct Where {
  sockaddr_storage storage = {};
  socklen_t size = 0;

  Where() = default;
  Where(const std::string& host, int port) {
    sockaddr_in four = {};
    four.sin_port = htons(static_cast<uint16_t>(port));
    if (inet_pton(AF_INET, host.c_str(), &four.sin_addr) == 1) {
      four.sin_family = AF_INET;
      memcpy(&storage, &four, size = sizeof(four));
      return;
    }
    addrinfo hints = {}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return;
    memcpy(&storage, found->ai_addr, size = found->ai_addrlen);
    freeaddrinfo(found);
  }
  static Where Unix(const std::string& path) {  // `@` first: an abstract one
    Where where;
    sockaddr_un un = {};
    un.sun_family = AF_UNIX;
    size_t n = path.size() < sizeof(un.sun_path) ? path.size() : sizeof(un.sun_path) - 1;
    memcpy(un.sun_path, path.c_str(), n);
    if (path[0] == '@') un.sun_path[0] = 0;
    where.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + n + (path[0] == '@' ? 0 : 1));
    memcpy(&where.storage, &un, sizeof(un));
    return where;
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(int family, int type) : fd_(socket(family, type | SOCK_CLOEXEC, 0)) {}
  Socket(const Socket&) = delete;
  ~Socket() {
    if (fd_ >= 0) (void)close(fd_);
  }
  int get() const { return fd_; }
  long Connect(const Where& to) const { return connect(fd_, to.get(), to.size); }

 private:
  int fd_;
};

inline sockaddr_in NameOf(int fd, bool peer) {
  sockaddr_storage name = {};
  socklen_t size = sizeof(name);
  sockaddr_in in = {};
  auto* address = reinterpret_cast<sockaddr*>(&name);
  if ((peer ? getpeername(fd, address, &size) : getsockname(fd, address, &size)) == 0 && name.ss_family == AF_INET)
    memcpy(&in, &name, sizeof(in));
  return in;
}

inline bool PeerIs(int fd, const Where& where) {
  sockaddr_in peer = NameOf(fd, true), in;
  memcpy(&in, &where.storage, sizeof(in));
  return peer.sin_port == in.sin_port && peer.sin_addr.s_addr == in.sin_addr.s_addr;
}

// Whether an echo server answers on a socket that is connected.
inline bool Echoes(int fd) {
  char byte = 'x';
  pollfd wait = {fd, POLLIN, 0};
  return send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && poll(&wait, 1, 5000) == 1 && recv(fd, &byte, 1, 0) == 1;
}

inline uint64_t Ms() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

// An honest connection, for a control and to see that others are still served.
inline void Honest(const Where& to) {
  uint64_t from = Ms();
  Socket socket(to.family(), SOCK_STREAM);
  long result = socket.Connect(to);
  Say("honest", result == 0 && Echoes(socket.get()) ? 0 : -1);
  if (Ms() - from > 2000) printf("honest: slow, %llu ms\n", static_cast<unsigned long long>(Ms() - from));
}

// Says that the test may look now, and waits for a line of input.
inline void Mark(const char* word) {
  printf("%s\n", word);
  (void)fflush(stdout);
  char byte;
  (void)!read(0, &byte, 1);
}

// Runs `step` over and over in another thread while this lives, and at least once before it is there.
class Meanwhile {
 public:
  template <typename Step>
  explicit Meanwhile(Step step)
      : thread_([this, step] {
          for (step(); !over_; step()) began_ = true;
        }) {
    while (!began_) std::this_thread::yield();
  }
  ~Meanwhile() {
    over_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> began_{false}, over_{false};
  std::thread thread_;
};

}  // namespace net_attack
