#include "monitor/file_observer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <cstdio>
#include <cstring>

#include "core/uapi.h"
#include "monitor/target.h"

namespace qi {
namespace {

constexpr unsigned kTmpfile = 020000000;    // __O_TMPFILE
constexpr unsigned kStatxMountId = 0x1000;  // STATX_MNT_ID, 5.8
constexpr long kFaccessat2 = 439;           // 5.8
constexpr unsigned kReadOnlyMount = 1;      // ST_RDONLY

// LANDLOCK_ACCESS_FS_*, linux/landlock.h
constexpr uint64_t kExecute = 1 << 0, kWriteFile = 1 << 1, kReadFile = 1 << 2, kReadDir = 1 << 3, kRemoveDir = 1 << 4,
                   kRemoveFile = 1 << 5, kMakeDir = 1 << 7, kMakeReg = 1 << 8, kMakeSock = 1 << 9, kMakeFifo = 1 << 10,
                   kMakeSym = 1 << 12, kTruncate = 1 << 14;

// By the mount and the permissions, as who acts: qi-monitor's ids for files are the payload's. 0 or an errno.
int Access(int fd, int mode) {
  if (syscall(kFaccessat2, fd, "", mode, AT_EMPTY_PATH | AT_EACCESS) == 0) return 0;
  if (errno != ENOSYS) return errno;
  char link[64];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  return syscall(SYS_faccessat, AT_FDCWD, link, mode) == 0 ? 0 : errno;
}

bool IsReadOnly(int fd) {
  struct statfs fs;
  return fstatfs(fd, &fs) == 0 && (fs.f_flags & kReadOnlyMount) != 0;
}

// To make, remove or rename a name in a folder: the mount is asked first. mnt_want_write()
int AccessToNames(int folder) {
  if (folder < 0) return EACCES;
  return IsReadOnly(folder) ? EROFS : Access(folder, W_OK | X_OK);
}

uint64_t MountOf(int fd) {
  struct statx st;
  bool known =
      fd >= 0 && uapi::Statx(fd, "", AT_EMPTY_PATH, kStatxMountId, &st) == 0 && (st.stx_mask & kStatxMountId) != 0;
  return known ? st.stx_mnt_id : 0;
}

bool IsMountPoint(const FilePath& file) { return MountOf(file.at.get()) != MountOf(file.parent.get()); }

mode_t TypeOf(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 ? st.st_mode & S_IFMT : 0;
}

// What a refusal says of who refuses. A jail in which nothing hides a file says by permissions what is not granted.
bool IsRefusal(int error) {
  return error == EACCES || error == EPERM || error == EROFS || error == EBUSY || error == ETXTBSY;
}

}  // namespace

void FileObserver::Prepare() {
  if (jail_.Has(kPlanObserveFiles)) host_.Init();
}

bool FileObserver::Passes(const seccomp_notif& request) const {
  for (const ObservedCase& one : List(jail_.blob, jail_.plan->observed_cases)) {
    if (one.number != static_cast<uint32_t>(request.data.nr)) continue;
    if ((request.data.args[one.argument] & one.mask) == one.value) return true;
  }
  return false;
}

// False when there is no path to tell of.
bool FileObserver::Read(const seccomp_notif& request, Act* act, int dirfd, int path, unsigned flags, bool follow,
                        FilePath* found) {
  char text[PATH_MAX];
  uint64_t pointer = request.data.args[path];
  int from = dirfd < 0 ? AT_FDCWD : static_cast<int>(request.data.args[dirfd]);
  if (pointer == 0 || ReadText(act->tid, pointer, text, sizeof(text)) < 0) return false;
  if (text[0] == 0 && ((flags & AT_EMPTY_PATH) == 0 || from == AT_FDCWD)) return false;
  return paths_.Find(act->tid, from, text, follow, found);
}

void FileObserver::Look(const seccomp_notif& request, const SyscallRule& rule) {
  act_ = Act();
  act_.call = FindFileCall(jail_.Text(rule.name));
  if (act_.call == nullptr) return;
  const auto& args = request.data.args;
  act_.tid = static_cast<pid_t>(request.pid);
  act_.flags = act_.call->fixed_flags | (act_.call->flags < 0 ? 0 : static_cast<unsigned>(args[act_.call->flags]));
  act_.mode = act_.call->mode < 0 ? 0 : static_cast<mode_t>(args[act_.call->mode]);
  Judge(request, &act_);
}

void FileObserver::Tell(const seccomp_notif& request, const SyscallRule& rule, const Answer& answer) {
  // What qi-monitor itself refuses is an event already. What it did in the payload's place has come out already.
  bool told = !answer.proceed && !answer.injected && answer.refused;
  if (!answer.proceed) act_.error = answer.injected ? 0 : answer.error;
  bool failed = !answer.proceed && act_.error != 0 && !IsRefusal(act_.error);
  // Not of one that is gone: the number could be another's. What got a descriptor has its answer, a moment ago.
  if (act_.action != nullptr && !told && !failed && (answer.injected || notify_->Alive(request.id)))
    Write(request, jail_.Text(rule.name), &act_);
  act_ = Act();
}

void FileObserver::Judge(const seccomp_notif& request, Act* act) {
  const FileCall& call = *act->call;
  act->told = &act->file;
  if (call.act == FileCall::kOpen) return JudgeOpen(request, act);
  bool by_name = call.act == FileCall::kRemove || call.act == FileCall::kMake || call.act == FileCall::kRename ||
                 (call.act == FileCall::kLink && (act->flags & AT_SYMLINK_FOLLOW) == 0);
  bool follow = !by_name && (act->flags & AT_SYMLINK_NOFOLLOW) == 0;
  if (!Read(request, act, call.dirfd, call.path, act->flags, follow, &act->file)) return;
  bool is_there = static_cast<bool>(act->file.at);
  act->access = kFileAccessWrite;
  switch (call.act) {
    case FileCall::kOpen:
      return;
    case FileCall::kExecute:
      act->action = "file.execute";
      act->access = kFileAccessExecute;
      if (is_there && TypeOf(act->file.at.get()) == S_IFDIR) act->action = nullptr;
      if (is_there) return JudgeExisting(act, X_OK, kExecute);
      return LookAtHost(act, &act->file, follow);
    case FileCall::kEnter:
      act->action = "file.read";
      act->access = kFileAccessRead;
      if (is_there) return JudgeExisting(act, X_OK, 0);
      return LookAtHost(act, &act->file, follow);
    case FileCall::kRemove:
      act->action = "file.remove";
      return JudgeGone(act, (act->flags & AT_REMOVEDIR) != 0 ? kRemoveDir : kRemoveFile);
    case FileCall::kMake: {
      act->action = is_there ? nullptr : "file.create";
      bool is_link = strncmp(call.name, "symlink", 7) == 0;
      uint64_t right = is_link                               ? kMakeSym
                       : strncmp(call.name, "mkdir", 5) == 0 ? kMakeDir
                       : S_ISFIFO(act->mode)                 ? kMakeFifo
                       : S_ISSOCK(act->mode)                 ? kMakeSock
                                                             : kMakeReg;
      return is_there ? void() : JudgeNew(act, &act->file, right);
    }
    case FileCall::kRename:
    case FileCall::kLink:
      return JudgeMove(request, act);
    case FileCall::kTruncate:
      act->action = "file.write";
      if (is_there) return JudgeExisting(act, W_OK, kTruncate);
      return LookAtHost(act, &act->file, follow);
    case FileCall::kAttributes:
      act->action = "file.attributes";
      return is_there ? JudgeAttributes(act) : LookAtHost(act, &act->file, follow);
  }
}

void FileObserver::JudgeOpen(const seccomp_notif& request, Act* act) {
  const FileCall& call = *act->call;
  unsigned flags = act->flags;
  bool only_path = (flags & O_PATH) != 0;
  bool creates = !only_path && (flags & O_CREAT) != 0;
  bool anew = creates && (flags & O_EXCL) != 0;
  bool follow = (flags & O_NOFOLLOW) == 0 && !anew;
  if (!Read(request, act, call.dirfd, call.path, 0, follow, &act->file)) return;
  bool nameless = !only_path && (flags & kTmpfile) != 0;
  bool writes = !only_path && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0);
  bool reads = only_path || (flags & O_ACCMODE) == O_RDONLY || (flags & O_ACCMODE) == O_RDWR;
  act->access = (reads ? kFileAccessRead : 0u) | (writes ? kFileAccessWrite : 0u);
  if (!act->file.at) {
    act->action = creates ? "file.create" : writes ? "file.write" : "file.read";
    if (!creates) return LookAtHost(act, &act->file, follow);
    act->access |= kFileAccessWrite;
    return JudgeNew(act, &act->file, kMakeReg);
  }
  mode_t type = TypeOf(act->file.at.get());
  bool is_folder = type == S_IFDIR;
  bool cuts = (flags & O_TRUNC) != 0 && type == S_IFREG;  // of anything else there is nothing to cut
  if (nameless) {
    act->action = "file.create";
    return JudgeExisting(act, W_OK | X_OK, kMakeReg);
  }
  if (anew || (is_folder && writes)) return;  // EEXIST, EISDIR: nobody's refusal
  act->action = writes ? "file.write" : "file.read";
  if (only_path) return;
  uint64_t read_right = is_folder ? kReadDir : kReadFile;
  JudgeExisting(act, (reads ? R_OK : 0) | (writes ? W_OK : 0),
                (reads ? read_right : 0) | (writes ? kWriteFile : 0) | (cuts ? kTruncate : 0));
}

void FileObserver::JudgeExisting(Act* act, int mode, uint64_t landlock) {
  int fd = act->file.at.get();
  // What changes the inode asks the mount before the permissions, what opens it does so after them.
  act->error = (landlock & (kTruncate | kMakeReg)) != 0 && IsReadOnly(fd) ? EROFS : Access(fd, mode);
  if (act->error == 0 && !rules_.LandlockAllows(act->file.path, landlock)) act->error = EACCES;
}

// A name that is to come to be.
void FileObserver::JudgeNew(Act* act, FilePath* place, uint64_t landlock) {
  if (place->is_unseen) return LookAtHost(act, place, false);
  if (!place->is_last) return LookAtHostFolder(act, place);
  act->error = AccessToNames(place->parent.get());
  if (act->error == 0 && !rules_.LandlockAllows(place->path, landlock)) act->error = EACCES;
}

// A name that is to go.
void FileObserver::JudgeGone(Act* act, uint64_t landlock) {
  if (!act->file.at) return LookAtHost(act, &act->file, false);
  act->error = AccessToNames(act->file.parent.get());
  if (act->error == 0 && IsMountPoint(act->file)) act->error = EBUSY;
  if (act->error == 0 && !rules_.LandlockAllows(act->file.path, landlock)) act->error = EACCES;
}

void FileObserver::JudgeMove(const seccomp_notif& request, Act* act) {
  const FileCall& call = *act->call;
  bool moves = call.act == FileCall::kRename;
  act->action = moves ? "file.rename" : "file.link";
  if (!act->file.at) return LookAtHost(act, &act->file, false);
  if (!Read(request, act, call.to_dirfd, call.to_path, 0, false, &act->to)) {
    act->action = nullptr;
    return;
  }
  uint64_t right = TypeOf(act->file.at.get()) == S_IFDIR ? kMakeDir : kMakeReg;
  if (moves) JudgeGone(act, TypeOf(act->file.at.get()) == S_IFDIR ? kRemoveDir : kRemoveFile);
  if (act->error != 0 || act->is_hidden) return;
  act->told = &act->to;
  if (!act->to.at) return JudgeNew(act, &act->to, right);
  if (!moves) {
    act->action = nullptr;  // EEXIST
    return;
  }
  act->error = AccessToNames(act->to.parent.get());
  if (act->error == 0 && IsMountPoint(act->to)) act->error = EBUSY;
  if (act->error == 0 && !rules_.LandlockAllows(act->to.path, right)) act->error = EACCES;
}

void FileObserver::JudgeAttributes(Act* act) {
  struct stat st;
  int fd = act->file.at.get();
  if (IsReadOnly(fd)) {
    act->error = EROFS;
  } else if (strstr(act->call->name, "xattr") != nullptr) {
    act->error = Access(fd, W_OK);
  } else if (strstr(act->call->name, "utime") == nullptr && fstat(fd, &st) == 0) {
    uint32_t own = jail_.Has(kPlanPrivileged) ? jail_.plan->uid_outside : jail_.plan->caller_uid;
    if (st.st_uid != own) act->error = EPERM;
  }
}

// The jail has no such path. Whether that is a refusal, or nobody has it, the host's own tree says.
void FileObserver::LookAtHost(Act* act, FilePath* place, bool follow) {
  act->error = place->error;
  act->told = place;
  if (place->is_unseen) {
    act->error = ENOENT;
    act->is_hidden = act->is_barred = true;
    return;
  }
  if (place->error == EACCES) return;  // a folder on the way that may not be searched
  char canonical[PATH_MAX * 2];
  HostTree::Sight sight = host_.Look(place->path, follow, canonical, sizeof(canonical));
  if (sight == HostTree::kNothing) {
    act->action = nullptr;
    return;
  }
  act->is_hidden = true;
  act->is_barred = sight == HostTree::kBarred;
  snprintf(place->path, sizeof(place->path), "%s", canonical);
}

// For a name that could not be made: its folder is what is missing.
void FileObserver::LookAtHostFolder(Act* act, FilePath* place) {
  char name[NAME_MAX + 2];
  char* slash = strrchr(place->path, '/');
  if (slash == nullptr || slash == place->path || strlen(slash) >= sizeof(name)) {
    act->action = nullptr;
    return;
  }
  snprintf(name, sizeof(name), "%s", slash);
  *slash = 0;
  LookAtHost(act, place, true);
  size_t end = strlen(place->path);
  snprintf(place->path + end, sizeof(place->path) - end, "%s", name);
}

void FileObserver::Write(const seccomp_notif& request, const char* name, Act* act) {
  if (act->error != 0 && !act->is_hidden && !IsRefusal(act->error)) return;
  const char* path = act->told->path;
  const FileRule* rule = rules_.Find(path);
  bool granted = rule != nullptr && (rule->access & act->access) == act->access;
  FileEvent event;
  if (act->error == 0 && !granted && jail_.Has(kPlanJudgeFiles) &&
      !(act->access == kFileAccessRead && rules_.LeadsTo(path))) {
    event.would_be = true;
    act->error = rule == nullptr || rule->access == 0 ? ENOENT : (act->access & kFileAccessWrite) != 0 ? EROFS : EACCES;
  }
  if (act->error == 0 && !jail_.Has(kPlanObserveAllFiles)) return;
  static constexpr const char* kAccess[] = {"path",    "read",         "write",         "read|write",
                                            "execute", "read|execute", "write|execute", "read|write|execute"};
  event.request = &request;
  event.syscall = name;
  event.action = act->action;
  event.access = kAccess[act->access & 7];
  event.path = act->file.path;
  event.to = act->to.path;
  // What a rule grants and the kernel refuses all the same is the host's own permissions, or its state.
  event.rule = act->error != 0 && granted && !act->is_hidden ? "permissions of the file or its folder on the host"
               : rule != nullptr                             ? jail_.Text(rule->origin)
                                                             : "not granted";
  event.error = act->error;
  event.is_barred = act->is_barred;
  log_.Add(event);
}

}  // namespace qi
