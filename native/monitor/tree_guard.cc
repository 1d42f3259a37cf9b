#include "monitor/tree_guard.h"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/folded_names.h"
#include "core/try.h"
#include "core/uapi.h"
#include "monitor/change_call.h"
#include "monitor/paths.h"
#include "monitor/target.h"

namespace qi {

namespace {

constexpr ChangeCall kCalls[] = {
    {"open", ChangeCall::kOpen, -1, 0, -1, -1, 1, 2},
    {"openat", ChangeCall::kOpen, 0, 1, -1, -1, 2, 3},
    {"creat", ChangeCall::kOpen, -1, 0, -1, -1, -1, 1},
    {"mkdir", ChangeCall::kMkdir, -1, 0, -1, -1, -1, 1},
    {"mkdirat", ChangeCall::kMkdir, 0, 1, -1, -1, -1, 2},
    {"mknod", ChangeCall::kMknod, -1, 0, -1, -1, -1, 1},
    {"mknodat", ChangeCall::kMknod, 0, 1, -1, -1, -1, 2},
    {"symlink", ChangeCall::kSymlink, -1, 1, -1, 0, -1, -1},
    {"symlinkat", ChangeCall::kSymlink, 1, 2, -1, 0, -1, -1},
    {"unlink", ChangeCall::kRemove, -1, 0, -1, -1, -1, -1},
    {"rmdir", ChangeCall::kRemove, -1, 0, -1, -1, -1, -1},
    {"unlinkat", ChangeCall::kRemove, 0, 1, -1, -1, 2, -1},
    {"link", ChangeCall::kLink, -1, 1, -1, 0, -1, -1},
    {"linkat", ChangeCall::kLink, 2, 3, 0, 1, 4, -1},
    {"rename", ChangeCall::kRename, -1, 1, -1, 0, -1, -1},
    {"renameat", ChangeCall::kRename, 2, 3, 0, 1, -1, -1},
    {"renameat2", ChangeCall::kRename, 2, 3, 0, 1, 4, -1},
    {"truncate", ChangeCall::kTruncate, -1, 0, -1, -1, -1, 1},
    {"chmod", ChangeCall::kMode, -1, 0, -1, -1, -1, 1},
    {"fchmod", ChangeCall::kMode, 0, -1, -1, -1, -1, 1},
    {"fchmodat", ChangeCall::kMode, 0, 1, -1, -1, -1, 2},
    {"fchmodat2", ChangeCall::kMode, 0, 1, -1, -1, 3, 2},
    {"chown", ChangeCall::kOwner, -1, 0, -1, -1, -1, 1},
    {"lchown", ChangeCall::kOwner, -1, 0, -1, -1, -1, 1},
    {"fchown", ChangeCall::kOwner, 0, -1, -1, -1, -1, 1},
    {"fchownat", ChangeCall::kOwner, 0, 1, -1, -1, 4, 2},
    {"utimensat", ChangeCall::kTimes, 0, 1, -1, -1, 3, 2},
    {"inotify_add_watch", ChangeCall::kWatch, 0, 1, -1, -1, -1, 2},
    {"execve", ChangeCall::kExecute, -1, 0, -1, -1, -1, -1},
    {"execveat", ChangeCall::kExecute, 0, 1, -1, -1, 4, -1},
};

// As the payload wrote it, from the directory it is meant from. All paths of a process lead from the host's root.
bool Absolute(pid_t tid, int dirfd, const char* text, char* out, size_t room) {
  size_t base = 0;
  if (text[0] != '/') {
    char link[64];
    if (dirfd == AT_FDCWD) {
      snprintf(link, sizeof(link), "/proc/%d/cwd", tid);
    } else {
      snprintf(link, sizeof(link), "/proc/%d/fd/%d", tid, dirfd);
    }
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    if (n <= 0 || out[0] != '/') return false;
    base = static_cast<size_t>(n);
    out[base++] = '/';
  }
  return static_cast<size_t>(snprintf(out + base, room - base, "%s", text)) < room - base;
}

// File systems that keep names byte by byte, or know no other case than that of ASCII letters. What keeps them
// elsewhere could find a denied name by another text, and make qi-monitor wait for it.
bool KeepsNames(int fd) {
  struct statfs fs;
  if (fstatfs(fd, &fs) != 0) return false;
  constexpr unsigned long kKnown[] = {0xef53,     0x58465342, 0x9123683e, 0x01021994,
                                      0x794c7630, 0xf2f52010, 0xca451a4e, 0x858458f6};  // linux/magic.h
  for (unsigned long known : kKnown) {
    if (static_cast<unsigned long>(fs.f_type) == known) return true;
  }
  return false;
}

// `GIT~1` leads to `.git`, and is what the kernel then calls it.
bool HasShortNames(int fd) {
  struct statfs fs;
  if (fstatfs(fd, &fs) != 0) return true;
  constexpr uint32_t kKnown[] = {0x4d44, 0x5346544e, 0x7366746e, 0x517b, 0xff534d42, 0xfe534d42};  // linux/magic.h
  for (uint32_t known : kKnown) {
    if (static_cast<uint32_t>(fs.f_type) == known) return true;
  }
  return false;
}

// What is made in such a folder (chattr +F) inherits it. It folds letters of all scripts, and leaves some out.
bool FoldsNames(int folder) {
  constexpr unsigned long kGetFlags = 0x80086601;  // FS_IOC_GETFLAGS
  constexpr int kCasefold = 0x40000000;            // FS_CASEFOLD_FL
  UniqueFd readable(openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  int flags = 0;
  return readable && ioctl(readable.get(), kGetFlags, &flags) == 0 && (flags & kCasefold) != 0;
}

// The number in /proc/self/fd/N and the links to it, or -1.
int DescriptorOf(const char* text) {
  static constexpr const char* kFolders[] = {"/proc/self/fd/", "/proc/thread-self/fd/", "/dev/fd/"};
  static constexpr const char* kStreams[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
  for (int fd = 0; fd < 3; ++fd) {
    if (strcmp(text, kStreams[fd]) == 0) return fd;
  }
  for (const char* folder : kFolders) {
    size_t n = strlen(folder);
    if (strncmp(text, folder, n) != 0) continue;
    size_t digits = strspn(text + n, "0123456789");
    return digits > 0 && digits < 8 && text[n + digits] == 0 ? atoi(text + n) : -1;
  }
  return -1;
}

}  // namespace

Result TreeGuard::Init(int root) {
  QI_BEGIN(jail_, Step::kMediate);
  root_ = root;
  struct stat st;
  if (fstat(root, &st) != 0) return Fail(Step::kMediate, errno, "/");
  root_device_ = st.st_dev;
  for (const GuardedName& guarded : List(jail_.blob, jail_.plan->guarded_names)) {
    const char* path = jail_.Text(guarded.parent);
    UniqueFd folder(OpenInside(root, path, O_DIRECTORY));
    if (!OwnRoot() && folder && HasShortNames(folder.get())) return Fail(Step::kMediate, EOPNOTSUPP, path);
  }
  for (const PlanString& grant : List(jail_.blob, jail_.plan->mediated_grants)) {
    const char* path = jail_.Text(grant);
    UniqueFd folder(uapi::Openat2(root, path, O_PATH | O_CLOEXEC, uapi::kResolveInRoot | uapi::kResolveNoSymlinks));
    if (!folder) return Fail(Step::kMediate, errno, path);
    if (!KeepsNames(folder.get()) || FoldsNames(folder.get())) return Fail(Step::kMediate, EOPNOTSUPP, path);
  }
  return Ok();
}

// What somebody else removes or replaces between a look and this question is called "NAME (deleted)": denied and
// protected it is as what it was.
TreeGuard::Zone TreeGuard::ZoneOf(const char* path, const char** rule) const {
  constexpr char kGone[] = " (deleted)";
  size_t length = strlen(path), gone = sizeof(kGone) - 1;
  if (length > gone && strcmp(path + length - gone, kGone) == 0) {
    char name[PATH_MAX];
    memcpy(name, path, length - gone);
    name[length - gone] = 0;
    Zone zone = ZoneOfName(name, rule);
    if (zone == Zone::kDenied || zone == Zone::kProtected) return zone;
  }
  return ZoneOfName(path, rule);
}

// The innermost rule has its way; folded, since on some file systems `.GIT` is `.git`.
TreeGuard::Zone TreeGuard::ZoneOfName(const char* path, const char** rule) const {
  if (path[0] == 0) return Zone::kOutside;
  if (!OwnRoot() && Within(path, jail_.Text(jail_.plan->temp_directory))) return Zone::kTemporary;
  if (const char* against = patterns_.RuleAgainst(path)) {
    *rule = against;
    return Zone::kDenied;
  }
  size_t longest = 0;
  Zone zone = Zone::kOutside;
  for (const PlanString& grant : List(jail_.blob, jail_.plan->writable_paths)) {
    if (grant.length < longest || !Within(path, jail_.Text(grant))) continue;
    longest = grant.length;
    zone = Zone::kWritable;
  }
  for (const GuardedName& guarded : List(jail_.blob, jail_.plan->guarded_names)) {
    char text[PATH_MAX];
    int n = snprintf(text, sizeof(text), "%s/%s", jail_.Text(guarded.parent), jail_.Text(guarded.name));
    if (static_cast<size_t>(n) < longest || !WithinFolded(path, text)) continue;
    longest = static_cast<size_t>(n);
    zone = Zone::kProtected;
    *rule = jail_.Text(guarded.rule);
  }
  return zone;
}

// Moved away with what is around it, a protected name would be protected no more; moved in, it would be replaced.
bool TreeGuard::HoldsProtected(const char* path, const char** rule) const {
  for (const GuardedName& guarded : List(jail_.blob, jail_.plan->guarded_names)) {
    char text[PATH_MAX];
    snprintf(text, sizeof(text), "%s/%s", jail_.Text(guarded.parent), jail_.Text(guarded.name));
    if (!WithinFolded(text, path)) continue;
    *rule = jail_.Text(guarded.rule);
    return true;
  }
  return false;
}

bool TreeGuard::Find(pid_t tid, int dirfd, const char* text, Place* place) const {
  char path[PATH_MAX * 2];
  if (!Absolute(tid, dirfd, text, path, sizeof(path))) return false;
  if (!OpenFolderOf(root_, path, &place->parent, place->name)) return false;
  PathOf(place->parent.get(), place->path);
  // Who may change a name is a matter of the folder: a grant's own is one of a folder that is not granted.
  place->zone = ZoneOf(place->path, &place->rule);
  size_t base = strlen(place->path);
  size_t length = strlen(place->name);
  if (base == 0 || base + 1 + length >= sizeof(place->path)) return false;
  if (base > 1) place->path[base++] = '/';
  memcpy(place->path + base, place->name, length + 1);
  if (place->zone == Zone::kWritable) place->zone = ZoneOf(place->path, &place->rule);
  return true;
}

// Of a program that nobody may read (mode 0111) the kernel says EPERM, of a bad address EFAULT: that one it also says
// to the caller. process_vm_readv(2)
void TreeGuard::RefuseHidden(int error, Answer* answer) const {
  if (error == EPERM) answer->Refuse(EACCES, "the caller hides its memory: what it asks for cannot be read");
}

bool TreeGuard::Locate(const seccomp_notif& request, int dirfd, int path, Place* place, Answer* answer) const {
  char text[PATH_MAX];
  auto tid = static_cast<pid_t>(request.pid);
  long length = ReadText(tid, request.data.args[path], text, sizeof(text));
  if (length < 0) RefuseHidden(errno, answer);
  return length > 0 && Find(tid, DirFd(request, dirfd), text, place);
}

int TreeGuard::Reach(pid_t tid, int dirfd, const char* text, bool follow, Object* object) const {
  char path[PATH_MAX * 2];
  int own = follow ? DescriptorOf(text) : -1;
  if (own >= 0) return ReachDescriptor(tid, own, object);
  if (!Absolute(tid, dirfd, text, path, sizeof(path))) return ENOENT;
  object->fd.reset(OpenInside(root_, path, follow ? 0 : O_NOFOLLOW));
  if (!object->fd) return errno;
  PathOf(object->fd.get(), object->path);
  object->zone = ZoneOf(object->path, &object->rule);
  return 0;
}

// A magic link opens anew what the descriptor stands for, which may be a file of the host outside of the jail's mounts:
// only what the jail itself shows under that name is opened here.
int TreeGuard::ReachDescriptor(pid_t tid, int fd, Object* object) const {
  UniqueFd theirs = Duplicate(tid, fd);
  struct stat here, there;
  if (!theirs || fstat(theirs.get(), &there) != 0) return ELOOP;
  char path[PATH_MAX];
  PathOf(theirs.get(), path);
  if (path[0] == 0) return ELOOP;
  object->fd.reset(OpenInside(root_, path, O_NOFOLLOW));
  if (!object->fd || fstat(object->fd.get(), &here) != 0) return ELOOP;
  if (here.st_dev != there.st_dev || here.st_ino != there.st_ino) return ELOOP;
  PathOf(object->fd.get(), object->path);
  object->zone = ZoneOf(object->path, &object->rule);
  return 0;
}

void TreeGuard::Refuse(const char* path, const char* rule, Answer* answer, int error) const {
  answer->Refuse(error, rule);
  answer->action = "filesystem.refused";
  snprintf(answer->path, sizeof(answer->path), "%s", path);
}

void TreeGuard::Decide(const seccomp_notif& request, const char* name, Answer* answer) {
  answer->action = "filesystem.refused";
  for (const ChangeCall& call : kCalls) {
    if (strcmp(call.name, name) != 0) continue;
    switch (call.act) {
      case ChangeCall::kOpen:
        return Open(request, call, answer);
      case ChangeCall::kMkdir:
      case ChangeCall::kMknod:
      case ChangeCall::kSymlink:
        return Make(request, call, answer);
      case ChangeCall::kRemove:
        return Remove(request, call, answer);
      case ChangeCall::kLink:
      case ChangeCall::kRename:
        return Move(request, call, answer);
      case ChangeCall::kTruncate:
      case ChangeCall::kMode:
      case ChangeCall::kOwner:
      case ChangeCall::kTimes:
        return Alter(request, call, answer);
      case ChangeCall::kWatch:
        return Watch(request, answer);
      case ChangeCall::kExecute:
        return Execute(request, call, answer);
    }
  }
  answer->Refuse(EPERM, "unknown call that changes files");
}

UniqueFd TreeGuard::PlaceOfSocket(pid_t tid, const char* path, char* name, size_t room) const {
  Place place;
  if (!Find(tid, AT_FDCWD, path, &place) || place.zone != Zone::kTemporary) return UniqueFd();
  snprintf(name, room, "%s", place.name);
  return static_cast<UniqueFd&&>(place.parent);
}

bool TreeGuard::IsTemporary(int fd) const {
  char path[PATH_MAX];
  const char* rule;
  PathOf(fd, path);
  return ZoneOf(path, &rule) == Zone::kTemporary;
}

}  // namespace qi
