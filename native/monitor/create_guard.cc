#include "monitor/create_guard.h"

#include <sys/ioctl.h>
#include <sys/stat.h>

#include <climits>
#include <cstdio>
#include <cstring>

#include "core/folded_names.h"
#include "core/uapi.h"
#include "monitor/paths.h"

namespace qi {

// Where a call keeps what matters; -1: it has no such argument.
struct CreateCall {
  const char* name;
  enum Act { kOpen, kMkdir, kMknod, kSymlink, kLink, kRename } act;
  int dirfd, path;            // of the name that comes to be
  int from_dirfd, from_path;  // of what is linked or moved; symlink: from_path is its text
  int flags, mode;
};

namespace {

constexpr CreateCall kCreateCalls[] = {
    {"open", CreateCall::kOpen, -1, 0, -1, -1, 1, 2},         {"openat", CreateCall::kOpen, 0, 1, -1, -1, 2, 3},
    {"creat", CreateCall::kOpen, -1, 0, -1, -1, -1, 1},       {"mkdir", CreateCall::kMkdir, -1, 0, -1, -1, -1, 1},
    {"mkdirat", CreateCall::kMkdir, 0, 1, -1, -1, -1, 2},     {"mknod", CreateCall::kMknod, -1, 0, -1, -1, -1, 1},
    {"mknodat", CreateCall::kMknod, 0, 1, -1, -1, -1, 2},     {"symlink", CreateCall::kSymlink, -1, 1, -1, 0, -1, -1},
    {"symlinkat", CreateCall::kSymlink, 1, 2, -1, 0, -1, -1}, {"link", CreateCall::kLink, -1, 1, -1, 0, -1, -1},
    {"linkat", CreateCall::kLink, 2, 3, 0, 1, 4, -1},         {"rename", CreateCall::kRename, -1, 1, -1, 0, -1, -1},
    {"renameat", CreateCall::kRename, 2, 3, 0, 1, -1, -1},    {"renameat2", CreateCall::kRename, 2, 3, 0, 1, 4, -1},
};

constexpr unsigned kStatxMountId = 0x1000;  // STATX_MNT_ID, 5.8
constexpr int kTmpfile = 020000000;         // __O_TMPFILE

int DirFd(const seccomp_notif& request, int index) {
  return index < 0 ? AT_FDCWD : static_cast<int>(request.data.args[index]);
}

bool StillWaiting(int listener, uint64_t id) { return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0; }

CreateVerdict Done(int error) {
  CreateVerdict verdict;
  verdict.kind = CreateVerdict::kDone;
  verdict.error = error;
  return verdict;
}

CreateVerdict Refuse(int error, const char* rule) {
  CreateVerdict verdict;
  verdict.kind = CreateVerdict::kRefused;
  verdict.error = error;
  verdict.rule = rule;
  return verdict;
}

CreateVerdict RefuseGuarded(const Guarded* guarded) {
  CreateVerdict verdict = Refuse(EACCES, guarded->rule);
  verdict.guarded = guarded;
  return verdict;
}

// The directory that a relative path starts from, as a path in the jail.
bool BasePath(pid_t tid, int dirfd, char* out, size_t room) {
  char link[64];
  if (dirfd == AT_FDCWD) {
    snprintf(link, sizeof(link), "/proc/%d/cwd", tid);
  } else {
    snprintf(link, sizeof(link), "/proc/%d/fd/%d", tid, dirfd);
  }
  ssize_t n = readlink(link, out, room - 1);
  if (n <= 0 || out[0] != '/') return false;
  out[n] = 0;
  return true;
}

}  // namespace

Result CreateGuard::Init(int root) {
  root_ = root;
  const Plan& plan = *jail_.plan;
  for (const GuardedName& guarded : List(jail_.blob, plan.guarded_names)) {
    const char* path = jail_.Text(guarded.parent);
    UniqueFd parent(
        uapi::Openat2(root, path, O_PATH | O_DIRECTORY | O_CLOEXEC, uapi::kResolveInRoot | uapi::kResolveNoSymlinks));
    struct stat st;
    if (!parent || fstat(parent.get(), &st) != 0) return Fail(Step::kOpenJailRoot, errno, path);
    if (guarded_count_ == kMaxGuarded) return Fail(Step::kOpenJailRoot, E2BIG, "guarded names");
    guarded_[guarded_count_++] = {st.st_dev, st.st_ino, path, jail_.Text(guarded.name), jail_.Text(guarded.rule)};
  }
  for (const PlanString& grant : List(jail_.blob, plan.guarded_grants)) {
    const char* path = jail_.Text(grant);
    UniqueFd mount(uapi::Openat2(root, path, O_PATH | O_CLOEXEC, uapi::kResolveInRoot | uapi::kResolveNoSymlinks));
    struct statx st;
    if (!mount || uapi::Statx(mount.get(), "", AT_EMPTY_PATH, kStatxMountId, &st) != 0)
      return Fail(Step::kOpenJailRoot, errno, path);
    if ((st.stx_mask & kStatxMountId) == 0) return Fail(Step::kOpenJailRoot, ENOSYS, "statx mount id");
    if (grant_count_ == kMaxGuarded) return Fail(Step::kOpenJailRoot, E2BIG, "guarded grants");
    grant_mounts_[grant_count_++] = st.stx_mnt_id;
  }
  return Ok();
}

bool CreateGuard::InGuardedGrant(int fd) const {
  struct statx st;
  if (uapi::Statx(fd, "", AT_EMPTY_PATH, kStatxMountId, &st) != 0) return false;
  for (size_t i = 0; i < grant_count_; ++i) {
    if (grant_mounts_[i] == st.stx_mnt_id) return true;
  }
  return false;
}

bool CreateGuard::Locate(pid_t tid, int dirfd, uint64_t pointer, Place* place) const {
  char path[PATH_MAX];
  return ReadText(tid, pointer, path, sizeof(path)) > 0 && Find(tid, dirfd, path, place);
}

bool CreateGuard::Find(pid_t tid, int dirfd, const char* text, Place* place) const {
  char path[PATH_MAX * 2];
  size_t base = 0;
  if (text[0] != '/') {
    if (!BasePath(tid, dirfd, path, PATH_MAX)) return false;
    base = strlen(path);
    path[base++] = '/';
  }
  snprintf(path + base, sizeof(path) - base, "%s", text);
  if (!OpenFolderOf(root_, path, &place->parent, place->name)) return false;
  place->guarded_grant = InGuardedGrant(place->parent.get());
  return true;
}

const Guarded* CreateGuard::GuardOf(const Place& place) const {
  struct stat st;
  static constexpr Guarded kUnseen = {0, 0, "", "", "a directory that cannot be looked at"};
  if (fstat(place.parent.get(), &st) != 0) return &kUnseen;
  for (size_t i = 0; i < guarded_count_; ++i) {
    const Guarded& g = guarded_[i];
    // On vfat, SMB or a casefolded ext4 `.GIT` is `.git`.
    if (g.device == st.st_dev && g.inode == st.st_ino && WithinFolded(place.name, g.name)) return &g;
  }
  return nullptr;
}

const char* CreateGuard::RuleOfSocket(pid_t tid, const char* path) const {
  Place place;
  if (!Find(tid, AT_FDCWD, path, &place) || !place.guarded_grant) return nullptr;
  const Guarded* guarded = GuardOf(place);
  return guarded != nullptr ? guarded->rule : nullptr;
}

CreateVerdict CreateGuard::Decide(const seccomp_notif& request, const char* name, int listener) {
  for (const CreateCall& call : kCreateCalls) {
    if (strcmp(call.name, name) != 0) continue;
    // A set-uid file in a grant belongs to the caller on the host: whoever runs it there becomes the caller.
    bool has_mode = call.act == CreateCall::kOpen || call.act == CreateCall::kMknod;
    if (has_mode && (request.data.args[call.mode] & 06000) != 0) return Refuse(EPERM, "set-uid and set-gid files");
    if (call.act == CreateCall::kOpen) return Open(request, call, listener);
    if (call.act == CreateCall::kLink || call.act == CreateCall::kRename) return Move(request, call, listener);
    return Make(request, call, listener);
  }
  return Refuse(EPERM, "unknown call that creates names");
}

CreateVerdict CreateGuard::Open(const seccomp_notif& request, const CreateCall& call, int listener) {
  int flags = call.flags < 0 ? O_CREAT | O_WRONLY | O_TRUNC : static_cast<int>(request.data.args[call.flags]);
  Place place;
  // O_TMPFILE makes no name (linkat gives it one, and is judged then); O_PATH takes the place of O_CREAT; a directory
  // is never made by an open.
  if ((flags & (kTmpfile | O_PATH | O_DIRECTORY)) != 0) return {};
  pid_t tid = static_cast<pid_t>(request.pid);
  if (!Locate(tid, DirFd(request, call.dirfd), request.data.args[call.path], &place) || !place.guarded_grant) return {};
  if (const Guarded* guarded = GuardOf(place)) return RefuseGuarded(guarded);
  unsigned mode = static_cast<unsigned>(request.data.args[call.mode]) & 01777 & ~ReadStatus(tid).umask;
  if (!StillWaiting(listener, request.id)) return Done(EINTR);
  constexpr int kKept = O_ACCMODE | O_APPEND | O_NONBLOCK | O_DSYNC | O_SYNC | O_DIRECT | O_LARGEFILE | O_NOATIME;
  UniqueFd file(
      openat(place.parent.get(), place.name, (flags & kKept) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  // What exists is opened by the kernel as ever: only making a name needs this guard.
  if (!file) return errno == EEXIST && (flags & O_EXCL) == 0 ? CreateVerdict{} : Done(errno);
  seccomp_notif_addfd add = {};
  add.id = request.id;
  add.flags = SECCOMP_ADDFD_FLAG_SEND;
  add.srcfd = static_cast<uint32_t>(file.get());
  add.newfd_flags = static_cast<uint32_t>(flags & O_CLOEXEC);
  CreateVerdict verdict;
  verdict.kind = CreateVerdict::kInjected;
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0) return verdict;
  if (errno != EINVAL) return Done(errno);
  add.flags = 0;  // before 5.14: two steps
  int number = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
  if (number < 0) return Done(errno);
  verdict.kind = CreateVerdict::kDone;
  verdict.injected_value = number;
  return verdict;
}

CreateVerdict CreateGuard::Make(const seccomp_notif& request, const CreateCall& call, int listener) {
  pid_t tid = static_cast<pid_t>(request.pid);
  Place place;
  if (!Locate(tid, DirFd(request, call.dirfd), request.data.args[call.path], &place) || !place.guarded_grant) return {};
  if (const Guarded* guarded = GuardOf(place)) return RefuseGuarded(guarded);
  int parent = place.parent.get();
  if (call.act == CreateCall::kSymlink) {
    char text[PATH_MAX];
    if (ReadText(tid, request.data.args[call.from_path], text, sizeof(text)) < 0) return Done(EFAULT);
    if (!StillWaiting(listener, request.id)) return Done(EINTR);
    return Done(symlinkat(text, parent, place.name) == 0 ? 0 : errno);
  }
  auto raw_mode = static_cast<mode_t>(request.data.args[call.mode]);
  mode_t mode = raw_mode & 01777 & ~ReadStatus(tid).umask;
  if (!StillWaiting(listener, request.id)) return Done(EINTR);
  if (call.act == CreateCall::kMkdir) return Done(mkdirat(parent, place.name, mode) == 0 ? 0 : errno);
  if (S_ISCHR(raw_mode) || S_ISBLK(raw_mode)) return Refuse(EPERM, "device nodes");
  return Done(mknodat(parent, place.name, (raw_mode & S_IFMT) | mode, 0) == 0 ? 0 : errno);
}

CreateVerdict CreateGuard::Move(const seccomp_notif& request, const CreateCall& call, int listener) {
  pid_t tid = static_cast<pid_t>(request.pid);
  const auto& args = request.data.args;
  unsigned flags = call.flags < 0 ? 0 : static_cast<unsigned>(args[call.flags]);
  Place to;
  Place from;
  if (!Locate(tid, DirFd(request, call.dirfd), args[call.path], &to)) return {};
  if (!Locate(tid, DirFd(request, call.from_dirfd), args[call.from_path], &from)) return {};
  // An exchange makes both names anew.
  bool exchange = call.act == CreateCall::kRename && (flags & 2) != 0;
  if (!to.guarded_grant && !(exchange && from.guarded_grant)) return {};
  if (const Guarded* guarded = GuardOf(to)) return RefuseGuarded(guarded);
  if (const Guarded* guarded = exchange ? GuardOf(from) : nullptr) return RefuseGuarded(guarded);
  if (!from.guarded_grant || !to.guarded_grant) return Done(EXDEV);  // two mounts: the kernel's own answer
  if (!StillWaiting(listener, request.id)) return Done(EINTR);
  int from_dir = from.parent.get(), to_dir = to.parent.get();
  if (call.act == CreateCall::kLink) {
    // Without AT_SYMLINK_FOLLOW and AT_EMPTY_PATH: the first would leave the checked directory, the second needs
    // privilege.
    if (flags != 0) return Refuse(EACCES, "linkat flags in a guarded grant");
    return Done(linkat(from_dir, from.name, to_dir, to.name, 0) == 0 ? 0 : errno);
  }
  if ((flags & ~3u) != 0) return Refuse(EINVAL, "renameat2 flags in a guarded grant");  // whiteouts are device nodes
  if (IsMountPoint(from_dir, from.name) || IsMountPoint(to_dir, to.name))
    return Refuse(EBUSY, "a protected path, or a folder on the way to one");
  long result = syscall(SYS_renameat2, from_dir, from.name, to_dir, to.name, flags);
  return Done(result == 0 ? 0 : errno);
}

}  // namespace qi
