#include "monitor/swap.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cinttypes>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/uapi.h"
#include "monitor/proc_lines.h"
#include "monitor/target.h"

namespace qi {
namespace {

// More descriptors than this in the jail and the search would keep others waiting.
constexpr size_t kMaxLooks = 32768;
constexpr char kTooMuch[] = "too many descriptors to find the socket's places among";

constexpr struct {
  int level, name;
} kOptions[] = {{SOL_SOCKET, SO_REUSEADDR},
                {SOL_SOCKET, SO_REUSEPORT},
                {SOL_SOCKET, SO_KEEPALIVE},
                {SOL_SOCKET, SO_OOBINLINE},
                {SOL_SOCKET, SO_PRIORITY},
                {SOL_SOCKET, SO_RCVLOWAT},
                {SOL_SOCKET, SO_SNDBUF},
                {SOL_SOCKET, SO_RCVBUF},
                {IPPROTO_TCP, TCP_NODELAY},
                {IPPROTO_TCP, TCP_MAXSEG},
                {IPPROTO_TCP, TCP_CORK},
                {IPPROTO_TCP, TCP_KEEPIDLE},
                {IPPROTO_TCP, TCP_KEEPINTVL},
                {IPPROTO_TCP, TCP_KEEPCNT},
                {IPPROTO_TCP, TCP_SYNCNT},
                {IPPROTO_TCP, TCP_LINGER2},
                {IPPROTO_TCP, TCP_DEFER_ACCEPT},
                {IPPROTO_TCP, TCP_QUICKACK},
                {IPPROTO_TCP, TCP_USER_TIMEOUT},
                {IPPROTO_TCP, 25},  // TCP_NOTSENT_LOWAT
                {IPPROTO_IP, IP_TOS},
                {IPPROTO_IP, IP_TTL},
                {IPPROTO_IPV6, IPV6_V6ONLY},
                {IPPROTO_IPV6, IPV6_TCLASS}};

void CopyOptions(int from, int to) {
  for (const auto& option : kOptions) {
    int old = 0, fresh = 0;
    socklen_t size = sizeof(int);
    if (getsockopt(from, option.level, option.name, &old, &size) != 0) continue;
    if (getsockopt(to, option.level, option.name, &fresh, &size) != 0 || old == fresh) continue;
    // The kernel doubles what it is told of buffers. socket(7)
    if (option.level == SOL_SOCKET && (option.name == SO_SNDBUF || option.name == SO_RCVBUF)) old /= 2;
    (void)setsockopt(to, option.level, option.name, &old, sizeof(old));  // as good as it goes
  }
  for (int name : {SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO}) {
    char value[16];
    socklen_t size = sizeof(value);
    if (getsockopt(from, SOL_SOCKET, name, value, &size) == 0) (void)setsockopt(to, SOL_SOCKET, name, value, size);
  }
  int flags = fcntl(from, F_GETFL);
  if (flags >= 0) (void)fcntl(to, F_SETFL, flags & (O_NONBLOCK | O_ASYNC));
}

// What a child with a descriptor table of its own does: epoll knows a registration by file and number, so the socket
// has to have the payload's number where it is registered, and in qi-monitor's table that number may be qi-monitor's
// own.
struct MoveArgs {
  int old, fresh, epoll, fd;
  uint32_t events;
  uint64_t data;
  int error;
};

int MoveWatch(void* argument) {
  auto* a = static_cast<MoveArgs*>(argument);
  int epoll = fcntl(a->epoll, F_DUPFD, a->fd + 1);
  int fresh = fcntl(a->fresh, F_DUPFD, a->fd + 1);
  epoll_event event = {};
  event.events = a->events;
  event.data.u64 = a->data;
  bool ok = epoll >= 0 && fresh >= 0 && (a->old == a->fd || uapi::Dup3(a->old, a->fd, 0) >= 0) &&
            epoll_ctl(epoll, EPOLL_CTL_DEL, a->fd, nullptr) == 0 && uapi::Dup3(fresh, a->fd, 0) >= 0 &&
            epoll_ctl(epoll, EPOLL_CTL_ADD, a->fd, &event) == 0;
  a->error = ok ? 0 : errno;
  _exit(0);
}

int RunWithOwnTable(MoveArgs* args) {
  alignas(16) static char stack[16384];
  args->error = EAGAIN;
  // As vfork: qi-monitor stands still until the child is gone.
  pid_t child = clone(MoveWatch, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, args);
  if (child < 0) return errno;
  (void)RetryEintr([&] { return waitpid(child, nullptr, 0); });
  return args->error;
}

}  // namespace

bool Swap::Prepare(int fresh, const char** rule) {
  struct stat st;
  char self[16];
  snprintf(self, sizeof(self), "%d", ReadStatus(static_cast<pid_t>(request_.pid)).jail_pid);
  bool ok = fstat(old_, &st) == 0;
  inode_ = st.st_ino;
  device_ = static_cast<uint64_t>(major(st.st_dev)) << 20 | minor(st.st_dev);
  int list = ok ? openat(root_, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  DIR* processes = list >= 0 ? fdopendir(list) : nullptr;
  fault_ = processes == nullptr ? "the jail's processes cannot be looked at" : nullptr;
  while (dirent* entry = fault_ == nullptr ? readdir(processes) : nullptr) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    if (!ScanProcess(entry->d_name, strcmp(entry->d_name, self) == 0)) break;
  }
  if (processes != nullptr) (void)closedir(processes);
  if (fault_ == nullptr && place_count_ == 0) fault_ = "the socket is in no place of the caller";
  if (fault_ == nullptr) CopyOptions(old_, fresh);
  *rule = fault_;
  return fault_ == nullptr;
}

bool Swap::ScanProcess(const char* pid, bool caller) {
  char path[64], text[64], socket[64];
  snprintf(socket, sizeof(socket), "socket:[%" PRIu64 "]", inode_);
  snprintf(path, sizeof(path), "proc/%s/fd", pid);
  int list = openat(root_, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* dir = list >= 0 ? fdopendir(list) : nullptr;
  if (dir == nullptr) return true;  // it ended, or is pid 1, which has none of the payload's
  while (dirent* entry = fault_ == nullptr ? readdir(dir) : nullptr) {
    if (entry->d_name[0] == '.') continue;
    if (++looked_ > kMaxLooks) fault_ = kTooMuch;
    ssize_t n = readlinkat(dirfd(dir), entry->d_name, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = 0;
    int number = atoi(entry->d_name);
    if (strcmp(text, socket) == 0) {
      if (!caller) fault_ = "another process shares the socket, so it cannot be moved into the jail's network";
      if (place_count_ == kMaxPlaces) fault_ = "the socket is in too many places to be moved";
      if (fault_ == nullptr) places_[place_count_++] = number;
    } else if (caller && strcmp(text, "anon_inode:[eventpoll]") == 0) {
      ScanEpoll(pid, number);
    }
  }
  (void)closedir(dir);
  for (size_t i = 0; caller && i < place_count_; ++i) {
    snprintf(path, sizeof(path), "proc/%s/fdinfo/%d", pid, places_[i]);
    ProcLines lines(root_, path);
    close_on_exec_[i] = false;
    while (const char* line = lines.Next()) {
      if (strncmp(line, "flags:", 6) == 0) close_on_exec_[i] = (strtoul(line + 6, nullptr, 8) & O_CLOEXEC) != 0;
    }
  }
  return fault_ == nullptr;
}

// Sets can be many and hold much, each line of which is a look of its own.
void Swap::ScanEpoll(const char* pid, int number) {
  char path[64];
  snprintf(path, sizeof(path), "proc/%s/fdinfo/%d", pid, number);
  ProcLines lines(root_, path);
  while (const char* line = fault_ == nullptr ? lines.Next() : nullptr) {
    EpollEntry entry;
    if (++looked_ > kMaxLooks) fault_ = kTooMuch;
    if (!ParseEpollEntry(line, &entry) || entry.inode != inode_ || entry.device != device_) continue;
    if (watch_count_ == kMaxPlaces) {
      fault_ = "the socket is in too many epoll sets to be moved";
    } else {
      watches_[watch_count_++] = {number, entry.fd, entry.events, entry.data};
    }
  }
}

bool Swap::MoveWatches(int fresh) {
  for (size_t i = 0; i < watch_count_; ++i) {
    const Watch& watch = watches_[i];
    UniqueFd epoll = Duplicate(static_cast<pid_t>(request_.pid), watch.epoll);
    if (!epoll) return false;
    MoveArgs args = {old_, fresh, epoll.get(), watch.fd, watch.events, watch.data, 0};
    if (RunWithOwnTable(&args) != 0) return false;
  }
  return true;
}

int Swap::Install(int fresh) {
  if (!MoveWatches(fresh)) return EIO;
  for (size_t i = 0; i < place_count_; ++i) {
    int error = notify_->Replace(request_.id, fresh, places_[i], close_on_exec_[i]);
    if (error != 0) return error;
  }
  return 0;
}

}  // namespace qi
