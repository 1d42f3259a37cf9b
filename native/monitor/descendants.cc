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
    if (kin.alive) (void)kill(pid, signal_);  // ESRCH: it ended meanwhile
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
    if (!kin.alive) return;
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
  char state;
  int threads;
  constexpr char kFields[] =
      " %c %d %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d";  // proc_pid_stat(5)
  if (end == nullptr || sscanf(end + 1, kFields, &state, &kin->parent, &kin->group, &threads) != 4) return false;
  kin->alive = (state != 'Z' && state != 'X') || threads > 1;
  return true;
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
  // One look may miss a process that was being forked, and any number of looks those that live shorter than it takes;
  // but these die in between, and the dead stay: of two that find as many dead and none alive, the second saw all there
  // is.
  size_t before = 0;
  for (int quiet = 0, wait_ms = kFirstMs; quiet < 2; wait_ms = wait_ms < kLongestMs ? wait_ms * 2 : kLongestMs) {
    Ender ender(proc, spare, spare_count);
    size_t count = VisitDescendants(proc, getpid(), &ender);
    quiet = ender.alive > 0 ? 0 : count == before ? quiet + 1 : 1;
    before = count;
    (void)poll(nullptr, 0, quiet == 0 ? wait_ms : kFirstMs);
  }
  pid_t reaped;
  do {
    reaped = waitpid(-1, nullptr, WNOHANG);
  } while (reaped > 0);
}

}  // namespace qi
