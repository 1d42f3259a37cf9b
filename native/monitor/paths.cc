#include "monitor/paths.h"

#include <climits>
#include <cstring>

#include "core/fd.h"
#include "core/uapi.h"

namespace qi {
namespace {

constexpr int kFlags = O_PATH | O_NOFOLLOW | O_CLOEXEC;

int WalkPlain(int root, const char* path) {
  UniqueFd at(root >= 0 ? openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC)
                        : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!at) return -1;
  char name[NAME_MAX + 1];
  while (*path != 0) {
    while (*path == '/') ++path;
    const char* end = strchrnul(path, '/');
    size_t n = static_cast<size_t>(end - path);
    if (n == 0) break;
    if (n > NAME_MAX) {
      errno = ENAMETOOLONG;
      return -1;
    }
    memcpy(name, path, n);
    name[n] = 0;
    // O_DIRECTORY on every component but the last: O_PATH|O_NOFOLLOW opens a link itself, and a link is no directory.
    UniqueFd next(openat(at.get(), name, *end != 0 ? kFlags | O_DIRECTORY : kFlags));
    if (!next) return -1;
    at = std::move(next);
    path = end;
  }
  return at.release();
}

}  // namespace

int OpenPlain(int root, const char* path) {
  const char* relative = path;
  while (*relative == '/') ++relative;
  int dir = root;
  UniqueFd own_root;
  if (root < 0) {
    own_root.reset(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!own_root) return -1;
    dir = own_root.get();
  }
  if (*relative == 0) relative = ".";
  int fd =
      uapi::Openat2(dir, relative, O_PATH | O_NOFOLLOW | O_CLOEXEC, uapi::kResolveNoSymlinks | uapi::kResolveBeneath);
  // EPERM: a container's filter that refuses instead of saying ENOSYS; the walk decides then.
  if (fd < 0 && (errno == ENOSYS || errno == EPERM)) fd = WalkPlain(root, path);
  return fd;
}

int OpenParent(int root, const char* path, const char** name) {
  const char* slash = strrchr(path, '/');
  if (slash == nullptr || slash[1] == 0 || static_cast<size_t>(slash - path) >= PATH_MAX) {
    errno = EINVAL;
    return -1;
  }
  char parent[PATH_MAX];
  size_t n = static_cast<size_t>(slash - path);
  memcpy(parent, path, n);
  parent[n] = 0;
  *name = slash + 1;
  return OpenPlain(root, n == 0 ? "/" : parent);
}

bool OpenFolderOf(int root, char* path, UniqueFd* folder, char (&name)[256]) {
  size_t end = strlen(path);
  while (end > 1 && path[end - 1] == '/') path[--end] = 0;
  char* slash = strrchr(path, '/');
  size_t length = strlen(slash + 1);
  if (length == 0 || length >= sizeof(name) || strcmp(slash + 1, ".") == 0 || strcmp(slash + 1, "..") == 0)
    return false;
  memcpy(name, slash + 1, length + 1);
  slash[slash == path ? 1 : 0] = 0;
  constexpr uint64_t kInside = uapi::kResolveInRoot | uapi::kResolveNoMagiclinks;
  folder->reset(uapi::Openat2(root, path, O_PATH | O_DIRECTORY | O_CLOEXEC, kInside));
  return static_cast<bool>(*folder);
}

}  // namespace qi
