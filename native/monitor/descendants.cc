#include "monitor/descendants.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/fd.h"
#include "monitor/raw_directory.h"

namespace qi {
namespace {

// Longer lines of descent than this are cut: no limit on processes lets them grow so long.
constexpr int kMaxDepth = 1 << 16;

class Signaller final : public Visitor {
 public:
  explicit Signaller(int signal) : signal_(signal) {}
  void Visit(pid_t pid, const Kin& kin) override {
    if (kin.state != 'Z') (void)kill(pid, signal_);  // ESRCH: it ended meanwhile
  }

 private:
  int signal_;
};

class Ender final : public Visitor {
 public:
  Ender(int proc, const pid_t* spare, size_t count) : proc_(proc), spare_(spare), count_(count) {}
  void Visit(pid_t pid, const Kin& kin) override {
    for (size_t i = 0; i < count_; ++i) {
      if (spare_[i] > 0 && (pid == spare_[i] || DescendsFrom(proc_, pid, spare_[i]))) return;
    }
    if (kin.state == 'Z' || kin.state == 'X') return;
    ++alive;
    (void)kill(pid, SIGKILL);
  }
  size_t alive = 0;

 private:
  int proc_;
  const pid_t* spare_;
  size_t count_;
};

}  // namespace

bool ReadKin(int proc, pid_t pid, Kin* kin) {
  char path[32], text[512];
  snprintf(path, sizeof(path), "%d/stat", pid);
  UniqueFd file(openat(proc, path, O_RDONLY | O_CLOEXEC));
  ssize_t n = file ? read(file.get(), text, sizeof(text) - 1) : -1;
  if (n <= 0) return false;
  text[n] = 0;
  // The name is the process's own choice, parentheses included; behind the last one come figures only.
  const char* end = strrchr(text, ')');
  return end != nullptr && sscanf(end + 1, " %c %d %d", &kin->state, &kin->parent, &kin->group) == 3;
}

bool DescendsFrom(int proc, pid_t pid, pid_t ancestor) {
  Kin kin;
  for (int i = 0; i < kMaxDepth && pid > 1 && ReadKin(proc, pid, &kin); ++i) {
    if (kin.parent == ancestor) return true;
    pid = kin.parent;
  }
  return false;
}

size_t VisitDescendants(int proc, pid_t ancestor, Visitor* visitor) {
  UniqueFd dir(openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  RawDirectory names(dir.get());
  size_t count = 0;
  while (const char* name = names.Next()) {
    auto pid = static_cast<pid_t>(atoi(name));  // 0: no process
    Kin kin;
    if (pid <= 0 || pid == ancestor || !DescendsFrom(proc, pid, ancestor) || !ReadKin(proc, pid, &kin)) continue;
    visitor->Visit(pid, kin);
    ++count;
  }
  return count;
}

size_t SignalDescendants(int proc, pid_t ancestor, int signal) {
  Signaller signaller(signal);
  return VisitDescendants(proc, ancestor, &signaller);
}

void EndDescendants(int proc, const pid_t* spare, size_t spare_count) {
  constexpr int kFirstMs = 1, kLongestMs = 20;
  // One look may miss a process that was being forked; of two that find none, the second saw whatever the first missed.
  for (int quiet = 0, wait_ms = kFirstMs; quiet < 2; wait_ms = wait_ms < kLongestMs ? wait_ms * 2 : kLongestMs) {
    Ender ender(proc, spare, spare_count);
    (void)VisitDescendants(proc, getpid(), &ender);
    quiet = ender.alive == 0 ? quiet + 1 : 0;
    (void)poll(nullptr, 0, quiet == 0 ? wait_ms : kFirstMs);
  }
  pid_t reaped;
  do {
    reaped = waitpid(-1, nullptr, WNOHANG);
  } while (reaped > 0);
}

}  // namespace qi
