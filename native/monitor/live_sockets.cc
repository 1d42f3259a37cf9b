#include "monitor/live_sockets.h"

#include <sys/epoll.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "monitor/proc_lines.h"

namespace qi {
namespace {

int Compare(const void* a, const void* b) {
  auto x = *static_cast<const uint64_t*>(a), y = *static_cast<const uint64_t*>(b);
  return x < y ? -1 : x > y ? 1 : 0;
}

}  // namespace

bool LiveSockets::Init() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  return static_cast<bool>(epoll_);
}

LiveSockets::Added LiveSockets::Add(int socket, uint64_t mark) {
  epoll_event event = {};
  event.data.u64 = mark;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket, &event) != 0) return errno == EEXIST ? Added::kBefore : Added::kNo;
  if (mark == 0) ++at_most_;
  return Added::kNew;
}

void LiveSockets::Remove(int socket) { (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket, nullptr); }

size_t LiveSockets::Count(uint64_t mark) const {
  char path[64];
  snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", epoll_.get());
  ProcLines lines(path);
  size_t count = 0, room = 0;
  uint64_t* inodes = nullptr;  // one file can be there under several numbers
  while (const char* line = lines.Next()) {
    EpollEntry entry;
    if (!ParseEpollEntry(line, &entry) || entry.data != mark) continue;
    if (count == room) {
      room = room == 0 ? 256 : room * 2;
      auto* grown = static_cast<uint64_t*>(realloc(inodes, room * sizeof(uint64_t)));
      if (grown == nullptr) break;
      inodes = grown;
    }
    inodes[count++] = entry.inode;
  }
  if (count > 0) qsort(inodes, count, sizeof(uint64_t), Compare);
  size_t distinct = 0;
  for (size_t i = 0; i < count; ++i) distinct += i == 0 || inodes[i] != inodes[i - 1] ? 1 : 0;
  free(inodes);
  return distinct;
}

bool LiveSockets::Room(uint32_t max) {
  if (max == 0 || at_most_ < max) return true;
  at_most_ = Count(0);
  return at_most_ < max;
}

}  // namespace qi
