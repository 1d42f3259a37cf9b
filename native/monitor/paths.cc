#include "monitor/paths.h"

#include <sys/stat.h>

#include <climits>
#include <cstring>

#include "core/fd.h"
#include "core/uapi.h"

namespace qi {
namespace {

constexpr int kFlags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
constexpr unsigned kStatxMountId = 0x1000;  // STATX_MNT_ID, 5.8

int WalkPlain(int root, const char* path) {
  UniqueFd at(root >= 0 ? openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC)
                        : openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC));
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
    own_root.reset(openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC));
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

int OpenInside(int root, const char* path, int flags) {
  // A payload that renames without an end must not keep qi-monitor busy.
  constexpr int kTries = 4;
  return uapi::Openat2(root, path, O_PATH | O_CLOEXEC | flags, uapi::kResolveInRoot | uapi::kResolveNoMagiclinks, 0,
                       kTries);
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
  folder->reset(OpenInside(root, path, O_DIRECTORY));
  return static_cast<bool>(*folder);
}

bool IsMountPoint(int folder, const char* name) {
  UniqueFd at(openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!at) return errno != ENOENT;
  struct statx here, around;
  if (uapi::Statx(at.get(), "", AT_EMPTY_PATH, kStatxMountId, &here) != 0) return true;
  if (uapi::Statx(folder, "", AT_EMPTY_PATH, kStatxMountId, &around) != 0) return true;
  return here.stx_mnt_id != around.stx_mnt_id;
}

}  // namespace qi
