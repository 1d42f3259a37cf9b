// More than there is room for, and callers that are gone before they are answered. Each is bounded.
#pragma once
#include <sys/epoll.h>
#include <sys/mman.h>

#include <atomic>
#include <csignal>
#include <new>

#include "net_attack.h"

namespace net_attack {

// COUNT BLACKHOLE ALLOWED PORT: attempts that go nowhere, without waiting for them.
inline void FloodConnects(const Words& w) {
  const Where hole(w[1], Number(w, 3, 7)), allowed(w[2], Number(w, 3, 7));
  std::vector<int> open;
  int going = 0;
  for (int i = 0; i < Number(w, 0, 1000); ++i) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) break;
    open.push_back(fd);
    if (connect(fd, hole.get(), hole.size) != 0 && errno == EINPROGRESS) ++going;
  }
  printf("going %d\n", going);
  for (int i = 0; i < 20 && !open.empty(); ++i) {
    (void)close(open.back());
    open.pop_back();
  }
  Honest(allowed);
  Mark("flooded");
}

// COUNT BLACKHOLE ALLOWED PORT: threads that wait for nobody.
inline void FloodThreads(const Words& w) {
  const Where hole(w[1], Number(w, 3, 7)), allowed(w[2], Number(w, 3, 7));
  const int count = Number(w, 0, 100);
  static std::atomic<int> started{0}, refused{0};
  for (int i = 0; i < count; ++i) {
    std::thread([hole] {
      Socket s(AF_INET, SOCK_STREAM);
      ++started;
      if (s.Connect(hole) != 0 && errno != EINTR) ++refused;
    }).detach();
  }
  while (started < count) (void)usleep(1000);
  // On a slow machine they come late: until none was refused for a second.
  for (int last = -1, quiet = 0; quiet < 10; (void)usleep(100 * 1000)) {
    int now = refused;
    quiet = now == last ? quiet + 1 : 0;
    last = now;
  }
  printf("started %d refused %d\n", started.load(), refused.load());
  for (int i = 0; i < 5; ++i) Honest(allowed);
  Mark("flooded");
  _exit(0);
}

// BLACKHOLE ALLOWED PORT: what makes a supervisor wait: sockets whose flags and patience change under its hands.
inline void Flip(const Words& w) {
  const Where hole(w[0], Number(w, 2, 7)), allowed(w[1], Number(w, 2, 7));
  constexpr int kSockets = 24;
  static int sockets[kSockets];
  static std::atomic<int> tried{0};
  for (int& fd : sockets) fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  for (int t = 0; t < 2; ++t) {
    std::thread([] {
      for (unsigned i = 0;; ++i) {
        int fd = sockets[i / 2 % kSockets];
        (void)fcntl(fd, F_SETFL, i % 2 != 0 ? O_NONBLOCK : 0);
        timeval none = {};
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
      }
    }).detach();
  }
  std::thread([] {
    for (unsigned i = 0;; ++i) (void)shutdown(sockets[i % kSockets], SHUT_RDWR);
  }).detach();
  for (int i = 0; i < kSockets; ++i) {
    std::thread([i, hole] {
      for (;; ++tried) (void)connect(sockets[i], hole.get(), hole.size);
    }).detach();
  }
  while (tried < 200) (void)usleep(1000);
  for (int i = 0; i < 5; ++i) Honest(allowed);
  printf("flipping\n");
  (void)fflush(stdout);
  for (;;) pause();
}

// ROUNDS BLACKHOLE ALLOWED DENIED PORT: callers that are killed while their call is looked at, their numbers reused.
// Some live until the last address was answered for, so that a slow machine looks at any of them.
inline void Die(const Words& w) {
  const int port = Number(w, 4, 7);
  void* shared = mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* answered = new (shared) std::atomic<int>(0);
  const Where hole(w[1], port), allowed(w[2], port), denied(w[3], port);
  for (int i = 0; i < Number(w, 0, 100); ++i) {
    const int before = *answered;
    pid_t child = fork();
    if (child == 0) {
      const Where* to[] = {&hole, &allowed, &denied};
      for (const Where* one : to) {
        std::thread([one, answered, last = to[2]] {
          for (;;) {
            Socket s(AF_INET, SOCK_STREAM);
            (void)s.Connect(*one);
            if (one == last) ++*answered;
          }
        }).detach();
      }
      while (i % 8 == 0 && *answered == before) (void)usleep(500);
      (void)usleep(static_cast<useconds_t>(i * 37 % 3000));
      if (i % 2 != 0) _exit(0);
      for (;;) pause();
    }
    while (i % 8 == 0 && *answered == before) (void)usleep(500);
    (void)usleep(static_cast<useconds_t>(i * 53 % 4000));
    (void)kill(child, SIGKILL);
    (void)waitpid(child, nullptr, 0);
  }
  Honest(allowed);
}

// COUNT ALLOWED PORT HOW: connections beyond a limit, held where they are hard to count. Says how many answer.
inline void Hoard(const Words& w) {
  const Where to(w[1], Number(w, 2, 7));
  const std::string how = w[3];
  int pair[2];
  (void)socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  int open = 0, refused = 0;
  std::vector<std::thread> waiting;
  static std::atomic<int> going{0}, said_no{0};
  for (int i = 0; i < Number(w, 0, 6); ++i) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (how == "waiting") {
      waiting.emplace_back([fd, to] {
        ++going;
        if (connect(fd, to.get(), to.size) != 0 && errno == EACCES) ++said_no;
      });
      continue;
    }
    if (connect(fd, to.get(), to.size) != 0) {
      ++refused;
      (void)close(fd);
      continue;
    }
    ++open;
    if (how == "message") {
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
      memcpy(CMSG_DATA(c), &fd, sizeof(fd));
      (void)!sendmsg(pair[0], &message, MSG_NOSIGNAL);
      (void)close(fd);
    } else if (how == "child") {
      pid_t child = fork();
      if (child == 0) {
        (void)alarm(20);
        for (;;) pause();
      }
      (void)close(fd);
    } else if (how == "duplicate") {
      (void)dup2(fd, 500 + i);
      (void)close(fd);
    }
  }
  if (how == "waiting") {
    (void)sleep(1);
    refused = said_no;
    open = going - refused;
  }
  printf("open %d refused %d\n", open, refused);
  (void)fflush(stdout);
  (void)kill(0, SIGKILL);
}

// PORT: a client whose socket has to be moved into the jail: many numbers, many epoll sets, one in another.
inline void Places(const Words& w) {
  const int port = Number(w, 0, 4000), dups = Number(w, 1, 20), sets = Number(w, 2, 10), crowd = Number(w, 3, 0);
  const Where at("127.0.0.1", port);
  Socket server(AF_INET, SOCK_STREAM);
  int on = 1;
  (void)setsockopt(server.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  Say("bind", bind(server.get(), at.get(), at.size));
  Say("listen", listen(server.get(), 16));
  Socket client(AF_INET, SOCK_STREAM);
  std::vector<int> numbers, epolls;
  for (int i = 0; i < dups; ++i) numbers.push_back(dup(client.get()));
  for (int i = 0; i < sets; ++i) {
    int set = epoll_create1(0);
    epoll_event event = {};
    event.events = EPOLLOUT;
    event.data.u64 = 0xdead0000u + static_cast<unsigned>(i);
    (void)epoll_ctl(set, EPOLL_CTL_ADD, client.get(), &event);
    if (i > 0 && i < 4) (void)epoll_ctl(set, EPOLL_CTL_ADD, epolls.back(), &event);
    epolls.push_back(set);
  }
  for (int i = 0; i < crowd; ++i) {
    int set = epoll_create1(0);
    for (int fd = 600; fd < 900; ++fd) {
      epoll_event event = {};
      (void)dup2(server.get(), fd);
      (void)epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
    }
  }
  uint64_t from = Ms();
  long result = client.Connect(at);
  int error = errno;
  printf("took %s\n", Ms() - from < 500 ? "little" : "long");
  errno = error;
  Say("connect", result);
  Socket peer(result == 0 ? accept(server.get(), nullptr, nullptr) : -1);
  size_t told = 0, same = 0;
  for (int set : epolls) {
    epoll_event event = {};
    if (epoll_wait(set, &event, 1, 0) == 1 && event.data.u64 >> 16 == 0xdead) ++told;
  }
  sockaddr_in mine = NameOf(client.get(), false);
  for (int number : numbers) same += NameOf(number, false).sin_port == mine.sin_port ? 1 : 0;
  printf("told %zu same %zu\n", told, same);
}

}  // namespace net_attack
