#include "monitor/root.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <climits>
#include <cstdio>
#include <cstring>

#include "core/try.h"
#include "core/uapi.h"
#include "monitor/mounts.h"
#include "monitor/paths.h"

namespace qi {
namespace {

// How often what a mount shall lie on may be replaced before we give up.
constexpr int kReplacedTries = 1000;

class RootBuilder {
 public:
  RootBuilder(const Jail& jail, Grant* grants, UniqueFd* proc) : jail_(jail), grants_(grants), proc_(proc) {}

  Result Build() {
    QI_BEGIN(jail_, Step::kPrivateMounts);
    // Host mounts made later must not appear in the jail, nor the jail's on the host. mount_namespaces(7)
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return Fail(Step::kPrivateMounts, errno);
    QI_BEGIN(jail_, Step::kMountRoot);
    const Plan& plan = *jail_.plan;
    if (int error = MountRootTmpfs(plan.root_bytes, plan.root_inodes, &root_)) return Fail(Step::kMountRoot, error);
    Span<MountOp> ops = List(jail_.blob, plan.mounts);
    for (size_t i = 0; i < ops.size; ++i) {
      QI_TRY(Apply(ops[i], i));
    }
    return Enter();
  }

 private:
  Result Apply(const MountOp& op, size_t index) {
    switch (op.kind) {
      case MountKind::kDir:
      case MountKind::kSymlink:
      case MountKind::kFile:
        return MakeSkeleton(op);
      case MountKind::kBind:
        return BindSource(op, index, Step::kBindGrant);
      case MountKind::kDevice:
        return BindSource(op, index, Step::kBindDevice);
      case MountKind::kSetAttr:
        return ChangeAttributes(op, Step::kSetMountAttr);
      case MountKind::kProc:
        return MountProc(op);
      case MountKind::kDevPts:
        return MountInstance(op, Step::kMountDevPts, "devpts", "ptmxmode=0666,mode=0620");
      case MountKind::kSelfBind:
        if ((op.attr_set & uapi::kMountAttrRdonly) != 0) QI_TRY(RefuseStreamsBelow(jail_.Text(op.target)));
        return Cover(op);
      case MountKind::kMask:
        return Cover(op);
    }
    return Fail(Step::kCheckPlan, EINVAL, "mount kind");
  }

  // Only before anything is attached: then every path is ours alone and cannot lead through a planted link.
  Result MakeSkeleton(const MountOp& op) {
    QI_BEGIN(jail_, Step::kMakeSkeleton);
    const char* path = jail_.Text(op.target);
    if (attached_) return Fail(Step::kMakeSkeleton, EINVAL, path);
    const char* relative = path + 1;
    if (op.kind == MountKind::kDir) {
      if (mkdirat(root_.get(), relative, op.mode) == 0 || errno == EEXIST) return Ok();
      return Fail(Step::kMakeSkeleton, errno, path);
    }
    if (op.kind == MountKind::kSymlink) {
      if (symlinkat(jail_.Text(op.source), root_.get(), relative) == 0) return Ok();
      return Fail(Step::kMakeSkeleton, errno, path);
    }
    UniqueFd file(openat(root_.get(), relative, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, op.mode));
    if (!file) return Fail(Step::kMakeSkeleton, errno, path);
    Span<uint8_t> data = Bytes(jail_.blob, op.data);
    if (int error = WriteAll(file.get(), data.data, data.size)) return Fail(Step::kMakeSkeleton, error, path);
    return Ok();
  }

  Result BindSource(const MountOp& op, size_t index, Step step) {
    Grant own;
    Grant* grant = &own;
    if (grants_ != nullptr) {
      grant = &grants_[index];
    } else {
      QI_TRY(OpenGrant(jail_, op, -1, &own));
    }
    QI_BEGIN(jail_, step);
    if (grant->absent) return Ok();
    return AttachGrant(op, grant, step);
  }

  Result AttachGrant(const MountOp& op, Grant* grant, Step step) {
    const char* path = jail_.Text(op.target);
    int error = UntilNotReplaced([&] {
      UniqueFd target(OpenPlain(root_.get(), path));
      return target ? AttachAt(op, *grant, target.get()) : Attempt{errno};
    });
    return error == 0 ? Ok() : Fail(step, error, path);
  }

  struct Attempt {
    int error;
    bool replaced = false;  // what the name led to has no name any more
  };

  // A program of the host may replace a file by rename(2), as editors save, between our open of a target in a granted
  // folder and the mount on it. The kernel mounts on nothing that is unlinked (ENOENT, lock_mount() in fs/namespace.c);
  // the name leads to another file then.
  template <typename Try>
  static int UntilNotReplaced(const Try& attempt) {
    Attempt last = attempt();
    for (int again = 0; last.replaced && again < kReplacedTries; ++again) last = attempt();
    return last.error;
  }

  Attempt AttachAt(const MountOp& op, const Grant& grant, int target) {
    attached_ = true;
    const char* path = jail_.Text(op.target);
    MountAttributes attributes = {op.attr_set, op.attr_clear, (op.flags & kMountRecursive) != 0};
    bool later = grant.legacy;
    // Attributes first: there is no moment at which the mount is in place without them.
    uapi::MountAttr attr = {attributes.set, attributes.clear, 0, 0};
    unsigned flags = uapi::kAtEmptyPath | (attributes.recursive ? uapi::kAtRecursive : 0);
    if (!later && (attr.attr_set | attr.attr_clr) != 0 &&
        uapi::MountSetattr(grant.mount.get(), "", flags, &attr) != 0) {
      if (errno != ENOSYS) return {errno};
      later = true;  // kernel 5.2 to 5.11: open_tree without mount_setattr
    }
    int error = grant.legacy ? AttachLegacy(grant.mount.get(), target, attributes.recursive)
                             : Attach(grant.mount.get(), target);
    if (error != 0) return {error, error == ENOENT};
    return {later ? SetAttributesAt(path, attributes) : 0};
  }

  int SetAttributesAt(const char* path, const MountAttributes& attributes) {
    UniqueFd mounted(OpenPlain(root_.get(), path));
    return mounted ? SetAttributes(mounted.get(), attributes) : errno;
  }

  Result ChangeAttributes(const MountOp& op, Step step) {
    QI_BEGIN(jail_, step);
    const char* path = jail_.Text(op.target);
    int error = SetAttributesAt(path, {op.attr_set, op.attr_clear, (op.flags & kMountRecursive) != 0});
    return error == 0 ? Ok() : Fail(step, error, path);
  }

  // A second mount of what is there already: on itself (a pin or a write-deny), or a mask of our own on top.
  Result Cover(const MountOp& op) {
    QI_BEGIN(jail_, Step::kDenyPath);
    bool mask = op.kind == MountKind::kMask;
    const char* path = jail_.Text(mask ? op.source : op.target);
    int error = UntilNotReplaced([&]() -> Attempt {
      // One descriptor for both ends of a pin: by two, the old contents could come to lie over a file just replaced.
      UniqueFd source(OpenPlain(root_.get(), path));
      if (!source) return {errno};
      UniqueFd masked(mask ? OpenPlain(root_.get(), jail_.Text(op.target)) : -1);
      if (mask && !masked) return {errno == ENOENT && (op.flags & kMountOptional) != 0 ? 0 : errno};
      int covered = mask ? masked.get() : source.get();
      Grant grant;
      grant.mount.reset(CloneSubtree(source.get(), (op.flags & kMountRecursive) != 0));
      if (!grant.mount) {
        if (errno != ENOSYS) return {errno};
        grant.legacy = true;
        grant.mount = std::move(source);
      }
      return AttachAt(op, grant, covered);
    });
    return error == 0 ? Ok() : Fail(Step::kDenyPath, error, jail_.Text(op.target));
  }

  Result MountInstance(const MountOp& op, Step step, const char* type, const char* options) {
    QI_BEGIN(jail_, step);
    const char* path = jail_.Text(op.target);
    attached_ = true;
    UniqueFd target(OpenPlain(root_.get(), path));
    if (!target) return Fail(step, errno, path);
    int error = MountNew(type, target.get(), options, op.attr_set);
    return error == 0 ? Ok() : Fail(step, error, path);
  }

  // Two mounts of one instance, stacked: the lower is writable and reachable only by the descriptor kept here (the id
  // maps of the second user namespace have to be written through it), the upper is what the payload sees.
  Result MountProc(const MountOp& op) {
    MountOp lower = op;
    lower.attr_set &= ~static_cast<uint32_t>(uapi::kMountAttrRdonly);
    // hidepid: processes that the payload may not trace (pid 1, in the parent user namespace) do not exist for it.
    // proc(5)
    QI_TRY(MountInstance(lower, Step::kMountProc, "proc", "hidepid=2"));
    const char* path = jail_.Text(op.target);
    proc_->reset(OpenPlain(root_.get(), path));
    if (!*proc_) return Fail(Step::kMountProc, errno, path);
    MountOp upper = op;
    upper.kind = MountKind::kSelfBind;
    return Cover(upper);
  }

  Result Enter() {
    QI_BEGIN(jail_, Step::kPivotRoot);
    if (fchdir(root_.get()) != 0) return Fail(Step::kPivotRoot, errno, "fchdir");
    // pivot_root(".", ".") stacks the old root on the new one, so no directory is needed for it. pivot_root(2)
    if (syscall(SYS_pivot_root, ".", ".") != 0) return Fail(Step::kPivotRoot, errno);
    QI_BEGIN(jail_, Step::kDetachOldRoot);
    if (umount2(".", MNT_DETACH) != 0) return Fail(Step::kDetachOldRoot, errno);
    if (chdir("/") != 0) return Fail(Step::kDetachOldRoot, errno, "chdir");
    // The old root is gone when "/" is the tmpfs we made.
    struct stat now, made;
    if (stat("/", &now) != 0 || fstat(root_.get(), &made) != 0) return Fail(Step::kDetachOldRoot, errno, "stat");
    if (now.st_dev != made.st_dev || now.st_ino != made.st_ino) return Fail(Step::kDetachOldRoot, EXDEV);
    return Ok();
  }

  const Jail& jail_;
  Grant* grants_;
  UniqueFd* proc_;
  UniqueFd root_;
  bool attached_ = false;
};

}  // namespace

Result RefuseStreamsBelow(const char* denied) {
  size_t length = strlen(denied);
  for (int fd = 0; fd < 3; ++fd) {
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    if (n < static_cast<ssize_t>(length)) continue;
    path[n] = 0;
    bool below = strncmp(path, denied, length) == 0 && (path[length] == 0 || path[length] == '/');
    if (below) return Fail(Step::kDenyPath, EBUSY, "a standard stream is a protected file");
  }
  return Ok();
}

Result BuildRoot(const Jail& jail, Grant* grants, UniqueFd* proc) { return RootBuilder(jail, grants, proc).Build(); }

}  // namespace qi
