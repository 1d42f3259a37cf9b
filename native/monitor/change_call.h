// What the two halves of TreeGuard share: where the calls keep what matters, and small steps on paths. Runs in:
// monitor.
#pragma once
#include <fcntl.h>
#include <linux/seccomp.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstring>

namespace qi {

// Where a call keeps what matters; -1: it has no such argument.
struct ChangeCall {
  const char* name;
  enum Act {
    kOpen,
    kMkdir,
    kMknod,
    kSymlink,
    kRemove,
    kLink,
    kRename,
    kTruncate,
    kMode,
    kOwner,
    kTimes,
    kWatch,
    kExecute
  } act;
  int dirfd, path;            // of what is changed or comes to be; path -1: dirfd itself is it
  int from_dirfd, from_path;  // of what is linked or moved; symlink: from_path is its text
  int flags, value;           // value: mode, owner (group follows), length or times
};

inline int DirFd(const seccomp_notif& request, int index) {
  return index < 0 ? AT_FDCWD : static_cast<int>(request.data.args[index]);
}

inline bool Within(const char* path, const char* folder, int (*compare)(const char*, const char*, size_t) = strncmp) {
  size_t n = strlen(folder);
  return compare(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/');
}

// Where an open file or directory lies now; "" for what lies nowhere. `out`: PATH_MAX bytes.
inline void PathOf(int fd, char* out) {
  char link[32];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, out, PATH_MAX - 1);
  out[n > 0 && n < PATH_MAX - 1 && out[0] == '/' ? n : 0] = 0;
}

// A path to exactly this inode, for calls that take no O_PATH descriptor.
struct Link {
  explicit Link(int fd) { snprintf(text, sizeof(text), "/proc/self/fd/%d", fd); }
  char text[32];
};

}  // namespace qi
