// Races against a supervisor that looks before it lets a call go on: what it looked at is changed by another thread
// meanwhile. Each runs for a bounded time and says OK only when the forbidden thing happened.
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <thread>

#include "act_report.h"

namespace act {

class Until {
 public:
  explicit Until(const std::string& milliseconds)
      : end_(Clock::now() + std::chrono::milliseconds(std::stoi(milliseconds))),
        patience_(Clock::now() + 20 * std::chrono::milliseconds(std::stoi(milliseconds))) {}
  bool Over() const { return Clock::now() >= end_; }
  // Of an act that tells by its error that it was looked at: on a busy machine it may take longer to meet the look.
  bool Over(int error) const { return error == EACCES ? Over() : Clock::now() >= patience_; }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point end_, patience_;
};

// Runs `step` over and over in another thread while `this` lives.
class Meanwhile {
 public:
  template <typename Step>
  explicit Meanwhile(Step step)
      : thread_([this, step] {
          while (!over_) step();
        }) {}
  ~Meanwhile() {
    over_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> over_{false};
  std::thread thread_;
};

inline sockaddr_storage Inet(const char* address, int port) {
  sockaddr_in in = {};
  in.sin_family = AF_INET;
  in.sin_port = htons(static_cast<uint16_t>(port));
  (void)inet_pton(AF_INET, address, &in.sin_addr);
  sockaddr_storage all = {};
  memcpy(&all, &in, sizeof(in));
  return all;
}

inline sockaddr_storage Named(const std::string& path) {
  sockaddr_un un = {};
  un.sun_family = AF_UNIX;
  memcpy(un.sun_path, path.c_str(), path.size() < sizeof(un.sun_path) ? path.size() + 1 : sizeof(un.sun_path));
  sockaddr_storage all = {};
  memcpy(&all, &un, sizeof(un));
  return all;
}

// `unspec`, `netlink`, an IPv4 address with port 9, or a path.
inline sockaddr_storage AddressOf(const std::string& word) {
  if (word[0] == '/') return Named(word);
  if (word != "unspec" && word != "netlink") return Inet(word.c_str(), 9);
  sockaddr_storage plain = {};
  plain.ss_family = word == "netlink" ? AF_NETLINK : AF_UNSPEC;
  return plain;
}

// `MS PATH DECOY`: connects a local socket to an address that is DECOY when looked at, PATH when acted upon.
inline void SwapConnect(const Words& words) {
  Until time(words.at(0));
  const sockaddr_storage bad = AddressOf(words.at(1)), decoy = AddressOf(words.at(2));
  static sockaddr_storage shared;
  shared = decoy;
  int error = 0;
  Meanwhile swapping([&] {
    memcpy(&shared, &bad, sizeof(bad));
    for (volatile int i = 0; i < 300; i = i + 1) {
    }
    memcpy(&shared, &decoy, sizeof(decoy));
    for (volatile int i = 0; i < 300; i = i + 1) {
    }
  });
  while (!time.Over(error)) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) break;
    char peer[sizeof(sockaddr_un)] = {};
    socklen_t length = sizeof(peer);
    int result = connect(fd, reinterpret_cast<sockaddr*>(&shared), sizeof(sockaddr_un));
    if (result != 0) error = errno == EACCES || error == 0 ? errno : error;
    // AF_UNSPEC succeeds and connects to nothing.
    bool reached = result == 0 && getpeername(fd, reinterpret_cast<sockaddr*>(peer), &length) == 0;
    (void)close(fd);
    if (reached) return Done("connected");
  }
  Failed(error, nullptr);
}

// `MS FORBIDDEN DECOY`: makes a file by a name that is DECOY when looked at, FORBIDDEN when acted upon.
inline void SwapPath(const Words& words) {
  Until time(words.at(0));
  static char shared[256];
  const std::string bad = words.at(1), decoy = words.at(2);
  memcpy(shared, decoy.c_str(), decoy.size() + 1);
  int error = 0;
  Meanwhile swapping([&] {
    memcpy(shared, bad.c_str(), bad.size() + 1);
    memcpy(shared, decoy.c_str(), decoy.size() + 1);
  });
  while (!time.Over(error)) {
    int fd = open(shared, O_CREAT | O_WRONLY, 0600);
    if (fd < 0) error = errno == EACCES || error == 0 ? errno : error;  // half of each name leads nowhere
    (void)close(fd);
    struct stat st;
    if (stat(bad.c_str(), &st) == 0) return Done("made %s", bad.c_str());
    (void)unlink(decoy.c_str());
  }
  Failed(error, nullptr);
}

// `MS DENIED DECOY`: opens a path for reading that is now the one, now the other.
inline void SwapRead(const Words& words) {
  Until time(words.at(0));
  static char shared[256];
  const std::string denied = words.at(1), decoy = words.at(2);
  memcpy(shared, decoy.c_str(), decoy.size() + 1);
  int error = 0;
  Meanwhile swapping([&] {
    memcpy(shared, denied.c_str(), denied.size() + 1);
    memcpy(shared, decoy.c_str(), decoy.size() + 1);
  });
  while (!time.Over(error)) {
    char text[16] = "";
    int fd = open(shared, O_RDONLY);
    if (fd < 0 && error != EACCES) error = errno;
    if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && strncmp(text, "secret", 6) == 0)
      return Done("read %s", text);
    (void)close(fd);
  }
  Failed(error, nullptr);
}

// `MS DIR NAME`: DIR/way leads to DIR/plain when looked at and to DIR when acted upon; makes and moves DIR/way/NAME.
inline void SwapFolder(const Words& words) {
  Until time(words.at(0));
  const std::string dir = words.at(1), way = dir + "/way", other = dir + "/other";
  const std::string made = way + "/" + words.at(2), bad = dir + "/" + words.at(2), spare = dir + "/spare";
  (void)mkdir((dir + "/plain").c_str(), 0700);
  if (symlink("plain", way.c_str()) != 0 || symlink(".", other.c_str()) != 0) return Failed(errno, "links");
  int error = 0;
  Meanwhile swapping([&] { (void)syscall(SYS_renameat2, AT_FDCWD, way.c_str(), AT_FDCWD, other.c_str(), 2u); });
  while (!time.Over()) {
    int fd = open(made.c_str(), O_CREAT | O_WRONLY, 0600);
    if (fd < 0) error = errno;
    (void)close(fd);
    (void)close(open(spare.c_str(), O_CREAT | O_WRONLY, 0600));
    if (rename(spare.c_str(), made.c_str()) != 0) error = errno;
    struct stat st;
    if (stat(bad.c_str(), &st) == 0) return Done("made %s", bad.c_str());
    (void)unlink((dir + "/plain/" + words.at(2)).c_str());
  }
  Failed(error, nullptr);
}

// `MS PATH`: connects descriptor 100, which is now a local and now an inet socket, to PATH and to 127.0.0.1 in turn.
inline void SwapFd(const Words& words) {
  Until time(words.at(0));
  const sockaddr_storage local = Named(words.at(1)), inet = Inet("127.0.0.1", 9);
  int error = 0;
  Meanwhile swapping([&] {
    for (int family : {AF_UNIX, AF_INET}) {
      int fd = socket(family, SOCK_STREAM, 0);
      (void)dup2(fd, 100);
      (void)close(fd);
    }
  });
  while (!time.Over()) {
    for (const sockaddr_storage* address : {&local, &inet}) {
      int result = connect(100, reinterpret_cast<const sockaddr*>(address), sizeof(sockaddr_un));
      if (result == 0) return Done("connected");
      if (errno == EACCES) error = errno;
    }
  }
  Failed(error, nullptr);
}

inline int TryToConnect(const void* address, socklen_t length) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  int result = connect(fd, static_cast<const sockaddr*>(address), length) == 0 ? 0 : errno;
  (void)close(fd);
  return result;
}

// `TIMES`: processes that are killed while their call waits for an answer; then one that is not.
inline void DieAsking(const Words& words) {
  const sockaddr_storage out = Inet("203.0.113.7", 80);
  for (int i = 0; i < std::stoi(words.at(0)); ++i) {
    pid_t child = fork();
    if (child == 0) {
      (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
      Meanwhile asking([&] { (void)TryToConnect(&out, sizeof(sockaddr_in)); });
      for (;;) (void)close(open("/tmp/x", O_CREAT | O_WRONLY, 04755));
    }
    usleep(static_cast<useconds_t>(i % 50) * 20);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, nullptr, 0);
  }
  int error = TryToConnect(&out, sizeof(sockaddr_in));
  error == 0 ? Done("connected") : Failed(error, nullptr);
}

// `MS`: the memory of the arguments comes and goes while calls are being decided.
inline void UnmapAsking(const Words& words) {
  Until time(words.at(0));
  const sockaddr_storage out = Inet("203.0.113.7", 80);
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  void* place = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* edge = static_cast<char*>(place) + 4096 - 8;  // half of the address on either page
  int error = 0;
  {
    Meanwhile unmapping([&] {
      (void)munmap(place, 8192);
      // An anonymous page reads as zeroes: AF_UNSPEC, and an empty path.
      (void)mmap(place, 8192, PROT_READ | PROT_WRITE, kFlags, -1, 0);
    });
    while (!time.Over()) {
      (void)TryToConnect(edge, sizeof(sockaddr_in));
      (void)close(open(edge, O_CREAT | O_WRONLY, 0600));
    }
  }
  error = TryToConnect(&out, sizeof(sockaddr_in));
  error == 0 ? Done("connected") : Failed(error, nullptr);
}

}  // namespace act
