// The acts of TreeGuard.
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <ctime>

#include "monitor/change_call.h"
#include "monitor/paths.h"
#include "monitor/target.h"
#include "monitor/tree_guard.h"

namespace qi {
namespace {

constexpr int kTmpfile = 020000000;  // __O_TMPFILE
constexpr mode_t kSetIdBits = 06000;
constexpr char kPinned[] = "a protected path, or a folder on the way to one";

bool IsFolder(int parent, const char* name) {
  struct stat st;
  return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

}  // namespace

// A set-uid file in a grant belongs to the caller: whoever runs it becomes the caller.
void TreeGuard::Open(const seccomp_notif& request, const ChangeCall& call, Answer* answer) {
  int flags = call.flags < 0 ? O_CREAT | O_WRONLY | O_TRUNC : static_cast<int>(request.data.args[call.flags]);
  auto tid = static_cast<pid_t>(request.pid);
  char text[PATH_MAX];
  Object object;
  answer->proceed = true;
  if ((flags & O_PATH) != 0) return;
  // By registers, before anything that the caller could keep from being read.
  bool makes = (flags & (O_CREAT | kTmpfile)) != 0;
  if (makes && (request.data.args[call.value] & kSetIdBits) != 0) return answer->Refuse(EPERM, "set-id files");
  long length = ReadText(tid, request.data.args[call.path], text, sizeof(text));
  if (length <= 0) return length < 0 ? RefuseHidden(errno, answer) : void();
  bool follow = (flags & O_NOFOLLOW) == 0 && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
  int error = Reach(tid, DirFd(request, call.dirfd), text, follow, &object);
  if (error == 0) return OpenExisting(request, object, flags, answer);
  Place place;
  if (error != ENOENT || (flags & O_CREAT) == 0 || !Find(tid, DirFd(request, call.dirfd), text, &place)) return;
  if (place.zone == Zone::kProtected || place.zone == Zone::kDenied) return Refuse(place.path, place.rule, answer);
  if (place.zone != Zone::kWritable) return;
  mode_t mode = static_cast<mode_t>(request.data.args[call.value]) & 01777 & ~ReadStatus(tid).umask;
  if (!notify_->Alive(request.id)) return answer->Done(EINTR);
  constexpr int kKept = O_ACCMODE | O_APPEND | O_NONBLOCK | O_DSYNC | O_SYNC | O_DIRECT | O_LARGEFILE | O_NOATIME;
  UniqueFd file(
      openat(place.parent.get(), place.name, (flags & kKept) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  // A name that came to be meanwhile, or a link to nowhere: the kernel says no.
  if (!file) return errno == EEXIST ? void(answer->proceed = true) : answer->Done(errno);
  answer->proceed = false;
  notify_->Inject(request.id, file.get(), (flags & O_CLOEXEC) != 0, answer);
}

// What Landlock keeps from the payload only so that it comes here: in mediated folders everything, and with them, since
// no rule can name it alone, the skeleton of a private root, which is folders.
bool TreeGuard::Withheld(const Object& object) const {
  if (!jail_.Has(kPlanMediate)) return false;
  if (patterns_.IsMediated(object.path)) return true;
  struct stat st;
  return OwnRoot() && fstat(object.fd.get(), &st) == 0 && st.st_dev == root_device_ && S_ISDIR(st.st_mode);
}

void TreeGuard::OpenExisting(const seccomp_notif& request, const Object& object, int flags, Answer* answer) {
  bool cuts = (flags & O_TRUNC) != 0, reads = (flags & O_ACCMODE) == O_RDONLY;
  bool tmpfile = (flags & kTmpfile) == kTmpfile;
  bool ours = object.zone == Zone::kWritable || (object.zone == Zone::kTemporary && cuts && reads);
  if (object.zone == Zone::kDenied) return Refuse(object.path, object.rule, answer);
  answer->proceed = true;
  // Landlock before ABI 3 does not see what O_TRUNC does to a file that is opened for reading. In a private root the
  // mount does.
  if (reads && cuts && !ours && !OwnRoot())
    return Refuse(object.path, "O_TRUNC of a file that may only be read", answer);
  if (object.zone == Zone::kProtected && !reads) return Refuse(object.path, object.rule, answer);
  bool only_reads = reads && !cuts && !tmpfile;
  if (!(only_reads ? Withheld(object) : ours)) return;
  answer->proceed = false;
  struct stat st;
  if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)) return answer->Done(EEXIST);
  if (tmpfile) return answer->Done(EOPNOTSUPP);  // a file without a name would get one by a path of /proc
  if (fstat(object.fd.get(), &st) != 0) return answer->Done(errno);
  if (S_ISLNK(st.st_mode)) return answer->Done(ELOOP);
  if (S_ISDIR(st.st_mode) && (!only_reads || (flags & O_CREAT) != 0)) return answer->Done(EISDIR);
  if (!S_ISDIR(st.st_mode) && (flags & O_DIRECTORY) != 0) return answer->Done(ENOTDIR);
  // Opening anything else may wait for somebody, or be a way to somebody.
  if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return Refuse(object.path, "neither a file nor a folder", answer);
  if (!notify_->Alive(request.id)) return answer->Done(EINTR);
  constexpr int kKept = O_ACCMODE | O_APPEND | O_DSYNC | O_SYNC | O_DIRECT | O_LARGEFILE | O_NOATIME | O_TRUNC;
  // O_NONBLOCK: a lease that somebody holds must not make qi-monitor wait.
  UniqueFd file(openat(AT_FDCWD, Link(object.fd.get()).text, (flags & kKept) | O_NONBLOCK | O_CLOEXEC));
  if (!file || fcntl(file.get(), F_SETFL, flags & (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)) != 0)
    return answer->Done(errno);
  notify_->Inject(request.id, file.get(), (flags & O_CLOEXEC) != 0, answer);
}

// False: `answer` says so, or that the kernel decides.
bool TreeGuard::Protects(const Place& place, bool moves, Answer* answer) const {
  const char* rule = place.rule;
  answer->proceed = false;
  if (place.zone == Zone::kProtected || place.zone == Zone::kDenied ||
      (moves && place.zone == Zone::kWritable && HoldsProtected(place.path, &rule))) {
    Refuse(place.path, rule, answer);
    return true;
  }
  answer->proceed = place.zone != Zone::kWritable;
  return answer->proceed;
}

void TreeGuard::Make(const seccomp_notif& request, const ChangeCall& call, Answer* answer) {
  auto tid = static_cast<pid_t>(request.pid);
  Place place;
  answer->proceed = true;
  if (call.act == ChangeCall::kMknod && (request.data.args[call.value] & kSetIdBits) != 0)
    return answer->Refuse(EPERM, "set-id files");
  if (!Locate(request, call.dirfd, call.path, &place, answer) || Protects(place, false, answer)) return;
  int parent = place.parent.get();
  if (call.act == ChangeCall::kSymlink) {
    char text[PATH_MAX];
    if (ReadText(tid, request.data.args[call.from_path], text, sizeof(text)) < 0) return answer->Done(EFAULT);
    if (!notify_->Alive(request.id)) return answer->Done(EINTR);
    return answer->Done(symlinkat(text, parent, place.name) == 0 ? 0 : errno);
  }
  auto raw_mode = static_cast<mode_t>(request.data.args[call.value]);
  mode_t mode = raw_mode & 01777 & ~ReadStatus(tid).umask;
  if (!notify_->Alive(request.id)) return answer->Done(EINTR);
  if (call.act == ChangeCall::kMkdir) return answer->Done(mkdirat(parent, place.name, mode) == 0 ? 0 : errno);
  if (!S_ISFIFO(raw_mode) && !S_ISREG(raw_mode) && (raw_mode & S_IFMT) != 0)
    return answer->Refuse(EPERM, "neither a file nor a FIFO");
  answer->Done(mknodat(parent, place.name, (raw_mode & S_IFMT) | mode, 0) == 0 ? 0 : errno);
}

// A folder that may hold a protected name stays: a link or a file in its place would lead elsewhere.
void TreeGuard::Remove(const seccomp_notif& request, const ChangeCall& call, Answer* answer) {
  Place place;
  answer->proceed = true;
  if (!Locate(request, call.dirfd, call.path, &place, answer) || Protects(place, true, answer)) return;
  int flags = call.flags < 0 ? 0 : static_cast<int>(request.data.args[call.flags]);
  if (strcmp(call.name, "rmdir") == 0) flags = AT_REMOVEDIR;
  if (OwnRoot() && IsMountPoint(place.parent.get(), place.name)) return Refuse(place.path, kPinned, answer, EBUSY);
  if (!notify_->Alive(request.id)) return answer->Done(EINTR);
  answer->Done(unlinkat(place.parent.get(), place.name, flags) == 0 ? 0 : errno);
}

void TreeGuard::Move(const seccomp_notif& request, const ChangeCall& call, Answer* answer) {
  unsigned flags = call.flags < 0 ? 0 : static_cast<unsigned>(request.data.args[call.flags]);
  Place to, from;
  answer->proceed = true;
  if (!Locate(request, call.dirfd, call.path, &to, answer) ||
      !Locate(request, call.from_dirfd, call.from_path, &from, answer))
    return;
  bool to_open = !Protects(to, true, answer);
  if (!to_open && !answer->proceed) return;
  // A second name for what is protected would be a way to write it.
  bool from_open = !Protects(from, true, answer);
  if (!from_open && !answer->proceed) return;
  if (!to_open && !from_open) return;
  answer->proceed = false;
  // As between two mounts, which is what they are in a jail with a root of its own.
  if (!to_open || !from_open) return answer->Done(EXDEV);
  for (const Place* place : {&from, &to}) {
    if (OwnRoot() && IsMountPoint(place->parent.get(), place->name)) return Refuse(place->path, kPinned, answer, EBUSY);
  }
  bool folders = IsFolder(from.parent.get(), from.name) || IsFolder(to.parent.get(), to.name);
  if (const char* rule = folders ? patterns_.RuleBetween(from.path, to.path) : nullptr)
    return Refuse(from.path, rule, answer);
  if (!notify_->Alive(request.id)) return answer->Done(EINTR);
  int from_dir = from.parent.get(), to_dir = to.parent.get();
  if (call.act == ChangeCall::kLink) {
    if (flags != 0) return answer->Refuse(EACCES, "linkat flags in a writable grant");
    return answer->Done(linkat(from_dir, from.name, to_dir, to.name, 0) == 0 ? 0 : errno);
  }
  if ((flags & ~3u) != 0) return answer->Refuse(EINVAL, "renameat2 flags in a writable grant");
  answer->Done(syscall(SYS_renameat2, from_dir, from.name, to_dir, to.name, flags) == 0 ? 0 : errno);
}

// What a call on a path, or on a descriptor, is about.
int TreeGuard::ReachArgument(const seccomp_notif& request, const ChangeCall& call, unsigned flags,
                             Object* object) const {
  auto tid = static_cast<pid_t>(request.pid);
  char text[PATH_MAX] = "";
  bool by_path = call.path >= 0 && request.data.args[call.path] != 0;
  if (by_path && ReadText(tid, request.data.args[call.path], text, sizeof(text)) < 0) return errno;
  if (text[0] != 0) {
    bool follow = (flags & AT_SYMLINK_NOFOLLOW) == 0 && strcmp(call.name, "lchown") != 0;
    return Reach(tid, DirFd(request, call.dirfd), text, follow, object);
  }
  if (by_path && (flags & AT_EMPTY_PATH) == 0) return ENOENT;
  int fd = DirFd(request, call.dirfd);
  if (fd == AT_FDCWD) return by_path ? Reach(tid, fd, ".", true, object) : EFAULT;
  object->fd = Duplicate(tid, fd);
  if (!object->fd) return errno;
  PathOf(object->fd.get(), object->path);
  object->zone = ZoneOf(object->path, &object->rule);
  return 0;
}

void TreeGuard::Alter(const seccomp_notif& request, const ChangeCall& call, Answer* answer) {
  unsigned flags = call.flags < 0 ? 0 : static_cast<unsigned>(request.data.args[call.flags]);
  const auto& args = request.data.args;
  Object object;
  if (int error = ReachArgument(request, call, flags, &object)) {
    answer->Done(error);
    return RefuseHidden(error, answer);
  }
  if (object.zone == Zone::kProtected || object.zone == Zone::kDenied) return Refuse(object.path, object.rule, answer);
  // A private root has mounts to say what may be changed.
  if (object.zone == Zone::kOutside && !OwnRoot())
    return Refuse(object.path, "attributes of what is not writable", answer);
  struct stat st;
  if (fstat(object.fd.get(), &st) != 0) return answer->Done(errno);
  // Through /proc/self/fd the kernel would change what a link leads to.
  if (S_ISLNK(st.st_mode)) return answer->Done(EOPNOTSUPP);
  Link at(object.fd.get());
  if (call.act == ChangeCall::kTimes) {
    timespec times[2];
    uint64_t given = args[call.value];
    if (given != 0 && ReadMemory(static_cast<pid_t>(request.pid), given, times, sizeof(times)) != sizeof(times))
      return answer->Done(EFAULT);
    if (!notify_->Alive(request.id)) return answer->Done(EINTR);
    return answer->Done(utimensat(AT_FDCWD, at.text, given != 0 ? times : nullptr, 0) == 0 ? 0 : errno);
  }
  if (!notify_->Alive(request.id)) return answer->Done(EINTR);
  int result = -1;
  if (call.act == ChangeCall::kTruncate) {
    if (!S_ISREG(st.st_mode)) return answer->Done(S_ISDIR(st.st_mode) ? EISDIR : EINVAL);
    auto length = static_cast<off_t>(args[call.value]);
    // qi-monitor has not the payload's limit.
    if (length > st.st_size && static_cast<uint64_t>(length) > MaxFileSize(jail_))
      return Refuse(object.path, "filesystem.maxFileSize", answer, EFBIG);
    // truncate(2) would wait for whoever holds a lease on the file, the payload itself perhaps.
    UniqueFd file(openat(AT_FDCWD, at.text, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    result = file ? ftruncate(file.get(), length) : -1;
  } else if (call.act == ChangeCall::kMode) {
    auto mode = static_cast<mode_t>(args[call.value]);
    if ((mode & kSetIdBits) != 0) return answer->Refuse(EPERM, "set-id bits");
    // What is in it is opened by every user's programs as soon as they may enter.
    if (strcmp(object.path, jail_.Text(jail_.plan->temp_directory)) == 0)
      return Refuse(object.path, "the mode of the private temporary folder", answer);
    result = fchmodat(AT_FDCWD, at.text, mode & 01777, 0);
  } else {
    auto uid = static_cast<uid_t>(args[call.value]);
    auto gid = static_cast<gid_t>(args[call.value + 1]);
    result = fchownat(AT_FDCWD, at.text, uid, gid, 0);
  }
  answer->Done(result == 0 ? 0 : errno);
}

bool TreeGuard::MayRead(const Object& object) const {
  if (object.zone == Zone::kDenied) return false;
  const char* path = object.path;
  bool found = OwnRoot() || patterns_.IsMediated(path) || Within(path, jail_.Text(jail_.plan->temp_directory));
  for (const LandlockRule& rule : List(jail_.blob, jail_.plan->landlock_rules)) {
    const char* folder = jail_.Text(rule.path);
    found |= path[0] == '/' && (strcmp(folder, "/") == 0 || Within(path, folder));
  }
  return found;
}

// Nobody can execute for the payload, and what Landlock lets it execute it lets it read: so in mediated folders nothing
// is but what the plan names file by file. The kernel says so, whatever the path turns into; here it is told why.
void TreeGuard::Execute(const seccomp_notif& request, const ChangeCall& call, Answer* answer) {
  constexpr uint64_t kExecuteRight = 1;  // LANDLOCK_ACCESS_FS_EXECUTE
  unsigned flags = call.flags < 0 ? 0 : static_cast<unsigned>(request.data.args[call.flags]);
  auto tid = static_cast<pid_t>(request.pid);
  char text[PATH_MAX];
  Object object;
  answer->proceed = true;
  if (ReadText(tid, request.data.args[call.path], text, sizeof(text)) <= 0) return;
  if (Reach(tid, DirFd(request, call.dirfd), text, (flags & AT_SYMLINK_NOFOLLOW) == 0, &object) != 0) return;
  if (object.zone == Zone::kDenied) return Refuse(object.path, object.rule, answer);
  if (patterns_.IsMediated(object.path) && !rules_.LandlockAllows(object.path, kExecuteRight))
    Refuse(object.path, "filesystem.mediate: nothing is executed where names are denied by pattern", answer);
}

// Landlock does not know watches, which tell of every name that is made or opened in a folder.
void TreeGuard::Watch(const seccomp_notif& request, Answer* answer) {
  auto tid = static_cast<pid_t>(request.pid);
  auto mask = static_cast<uint32_t>(request.data.args[2]);
  char text[PATH_MAX];
  Object object;
  if (ReadText(tid, request.data.args[1], text, sizeof(text)) < 0) {
    answer->Done(EFAULT);
    return RefuseHidden(errno, answer);
  }
  if (int error = Reach(tid, AT_FDCWD, text, (mask & IN_DONT_FOLLOW) == 0, &object)) return answer->Done(error);
  if (!MayRead(object))
    return Refuse(object.path, object.rule != nullptr ? object.rule : "watching what is not granted", answer);
  UniqueFd watcher = Duplicate(tid, static_cast<int>(request.data.args[0]));
  if (!watcher || !notify_->Alive(request.id)) return answer->Done(watcher ? EINTR : errno);
  int watch = inotify_add_watch(watcher.get(), Link(object.fd.get()).text, mask & ~uint32_t{IN_DONT_FOLLOW});
  answer->Done(watch < 0 ? errno : 0);
  answer->value = watch < 0 ? 0 : watch;
}

}  // namespace qi
