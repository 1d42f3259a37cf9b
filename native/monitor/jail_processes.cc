#include "monitor/jail_processes.h"

#include <dirent.h>
#include <fcntl.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/fd.h"
#include "monitor/kernel_text.h"
#include "monitor/proc_lines.h"

namespace qi {
namespace {

// More descriptors than this and the search would keep others waiting.
constexpr size_t kMaxLooks = 8192;

// All of them are in one network namespace: any process that shows its list will do. 0: not there.
// "  12: 0100007F:8ADF 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 31337 2 ..." proc_net(5)
uint64_t SocketOf(int root, const char* pid, uint16_t port) {
  char path[64];
  snprintf(path, sizeof(path), "proc/%s/net/udp", pid);
  ProcLines lines(root, path);
  while (const char* line = lines.Next()) {
    unsigned local;
    uint64_t inode;
    if (sscanf(line, " %*d: %*8x:%4x %*s %*s %*s %*s %*s %*u %*u %" SCNu64, &local, &inode) == 2 && local == port) {
      return inode;
    }
  }
  return 0;
}

bool IsPid(const char* name) { return name[0] >= '1' && name[0] <= '9'; }

void ReadPhraseOf(int root, const char* pid, const char* name, char* out, size_t room) {
  char path[320];
  snprintf(path, sizeof(path), "proc/%s/%s", pid, name);
  ReadPhrase(root, path, out, room);
}

}  // namespace

bool JailProcesses::Holds(const char* pid, const char* socket, size_t* looked) const {
  char path[64], text[64];
  snprintf(path, sizeof(path), "proc/%s/fd", pid);
  int list = openat(root_, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* dir = list >= 0 ? fdopendir(list) : nullptr;
  bool found = false;
  while (dirent* entry = dir != nullptr && !found && ++*looked < kMaxLooks ? readdir(dir) : nullptr) {
    ssize_t n = readlinkat(dirfd(dir), entry->d_name, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = 0;
    found = strcmp(text, socket) == 0;
  }
  if (dir != nullptr) (void)closedir(dir);
  return found;
}

bool JailProcesses::FindUdp(uint16_t port, ProcessFacts* facts) const {
  int list = port != 0 ? openat(root_, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  DIR* processes = list >= 0 ? fdopendir(list) : nullptr;
  if (processes == nullptr) return false;
  uint64_t inode = 0;
  while (dirent* entry = inode == 0 ? readdir(processes) : nullptr) {
    if (IsPid(entry->d_name)) inode = SocketOf(root_, entry->d_name, port);
  }
  char socket[64];
  snprintf(socket, sizeof(socket), "socket:[%" PRIu64 "]", inode);
  size_t looked = 0;
  bool found = false;
  rewinddir(processes);
  while (dirent* entry = inode != 0 && !found ? readdir(processes) : nullptr) {
    if (!IsPid(entry->d_name) || !Holds(entry->d_name, socket, &looked)) continue;
    found = true;
    facts->jail_pid = atoi(entry->d_name);
    ReadPhraseOf(root_, entry->d_name, "comm", facts->comm, sizeof(facts->comm));
    ReadPhraseOf(root_, entry->d_name, "cmdline", facts->command_line, sizeof(facts->command_line));
  }
  (void)closedir(processes);
  return found;
}

}  // namespace qi
