#include "monitor/grants.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/uapi.h"
#include "monitor/mounts.h"
#include "monitor/paths.h"

namespace qi {
namespace {

// Decided on the descriptor that will be mounted, so that nothing can change between the look and the mount.
int VerifyKind(int fd, const MountOp& op) {
  struct stat st;
  if (fstat(fd, &st) != 0) return errno;
  if (op.kind == MountKind::kDevice) {
    bool same = S_ISCHR(st.st_mode) && st.st_rdev == makedev(op.rdev_major, op.rdev_minor);
    return same ? 0 : ENODEV;
  }
  if (S_ISLNK(st.st_mode)) return ELOOP;
  bool want_directory = (op.flags & kMountIsDirectory) != 0;
  if (want_directory != S_ISDIR(st.st_mode)) return want_directory ? ENOTDIR : EISDIR;
  return 0;
}

}  // namespace

Result OpenGrant(const Jail& jail, const MountOp& op, int userns, Grant* grant) {
  const char* path = jail.Text(op.source);
  QI_BEGIN(jail, Step::kOpenGrant);
  UniqueFd source(OpenPlain(-1, path));
  if (!source) {
    if (errno == ENOENT && (op.flags & kMountOptional) != 0) {
      grant->absent = true;
      return Ok();
    }
    return Fail(Step::kOpenGrant, errno, path);
  }
  if (int error = VerifyKind(source.get(), op)) return Fail(Step::kOpenGrant, error, path);
  bool recursive = (op.flags & kMountRecursive) != 0;
  grant->mount.reset(CloneSubtree(source.get(), recursive));
  if (!grant->mount) {
    if (errno != ENOSYS) return Fail(Step::kOpenGrant, errno, path);
    // A privileged launch prepares mounts in its own namespace, which only open_tree can hand to another.
    if (jail.Has(kPlanPrivileged)) return Fail(Step::kOpenGrant, ENOSYS, path);
    grant->legacy = true;
    grant->mount = std::move(source);
  }
  if (!jail.Has(kPlanPrivileged)) return Ok();
  bool idmap = (op.flags & kMountIdMap) != 0;
  if (idmap) QI_BEGIN(jail, Step::kIdMapGrant);
  int error = PrepareDetached(grant->mount.get(), idmap ? userns : -1, recursive);
  if (error != 0) return Fail(Step::kIdMapGrant, error, path);
  return Ok();
}

}  // namespace qi
