#include "cache/own_files.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace qi {
namespace {

bool IsOwn(int fd, mode_t type) {
  struct stat st;
  return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type && st.st_uid == geteuid() && (st.st_mode & 077) == 0;
}

}  // namespace

UniqueFd OpenOwnFolder(int at, const char* name) {
  UniqueFd fd(openat(at, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_RDONLY));
  if (fd && !IsOwn(fd.get(), S_IFDIR)) fd.reset();
  return fd;
}

UniqueFd OpenOwnFile(int at, const char* name) {
  UniqueFd fd(openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (fd && !IsOwn(fd.get(), S_IFREG)) fd.reset();
  return fd;
}

}  // namespace qi
