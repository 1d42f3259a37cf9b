#include "cgroup/stale.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "cgroup/group_end.h"

namespace qi {
namespace {

constexpr char kMark[] = "user.qi-jail";
constexpr int kEndMs = 1000;
constexpr int kMostAtOnce = 64;  // the rest is for the next launch, so that this one is not held up for long

bool IsSame(int parent, const char* name, const struct stat& opened) {
  struct stat now;
  return fstatat(parent, name, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == opened.st_ino &&
         now.st_dev == opened.st_dev;
}

enum class Mark { kNone, kOurs, kOther };

Mark MarkOf(int dir) {
  char mark[2];
  ssize_t size = fgetxattr(dir, kMark, mark, sizeof(mark));
  if (size < 0) return errno == ENODATA ? Mark::kNone : Mark::kOther;
  return size == 1 && mark[0] == '1' ? Mark::kOurs : Mark::kOther;
}

// Opened and locked; empty when it is not ours or in use.
UniqueFd OpenUnused(int parent, const char* name) {
  if (!IsGroupName(name)) return UniqueFd();
  UniqueFd dir(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat st;
  if (!dir || fstat(dir.get(), &st) != 0 || st.st_uid != geteuid()) return UniqueFd();
  // Held by the qi-monitor or keeper of a running jail. flock(2): until the last copy of its descriptor closes.
  if (flock(dir.get(), LOCK_EX | LOCK_NB) != 0) return UniqueFd();
  // While we asked, its keeper may have removed it, and another jail taken the name.
  return IsSame(parent, name, st) ? std::move(dir) : UniqueFd();
}

bool RemoveIfStale(int parent, const char* name) {
  UniqueFd dir = OpenUnused(parent, name);
  if (!dir) return false;
  Mark mark = MarkOf(dir.get());
  // Made, and its maker killed before it could mark it: then nothing was ever in it, and the kernel removes no other.
  if (mark == Mark::kNone) return unlinkat(parent, name, AT_REMOVEDIR) == 0;
  if (mark != Mark::kOurs) return false;
  UniqueFd kill(openat(dir.get(), "cgroup.kill", O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  UniqueFd procs(openat(dir.get(), "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  UniqueFd events(openat(dir.get(), "cgroup.events", O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return EndGroup({parent, name, kill.get(), procs.get(), events.get()}, kEndMs) == 0;
}

}  // namespace

void RandomGroupName(char (&name)[kGroupNameSize]) {
  uint32_t number = 0;
  // Only has to differ from the others: mkdir fails, and is tried again, if it does not.
  if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number)) number = static_cast<uint32_t>(getpid());
  snprintf(name, sizeof(name), "%s%08x", kGroupPrefix, number);
}

bool IsGroupName(const char* name) {
  constexpr size_t kPrefix = sizeof(kGroupPrefix) - 1;
  return strncmp(name, kGroupPrefix, kPrefix) == 0 && strspn(name + kPrefix, "0123456789abcdef") == 8 &&
         name[kPrefix + 8] == 0;
}

int LockAndMark(int parent, const char* name, int dir) {
  struct stat st;
  if (flock(dir, LOCK_EX | LOCK_NB) != 0 || fstat(dir, &st) != 0) return errno;
  if (!IsSame(parent, name, st)) return ENOENT;
  return fsetxattr(dir, kMark, "1", 1, 0) == 0 ? 0 : errno;
}

UniqueFd OpenStale(int parent, const char* name) {
  UniqueFd dir = OpenUnused(parent, name);
  return dir && MarkOf(dir.get()) == Mark::kOurs ? std::move(dir) : UniqueFd();
}

int RemoveStale(int parent) {
  // A position of its own in the directory: the caller's descriptor stays as it is.
  UniqueFd list(openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* entries = list ? fdopendir(list.get()) : nullptr;
  if (entries == nullptr) return 0;
  (void)list.release();  // fdopendir owns it
  int removed = 0;
  while (dirent* entry = readdir(entries)) {
    if (removed < kMostAtOnce && RemoveIfStale(parent, entry->d_name)) ++removed;
  }
  (void)closedir(entries);
  return removed;
}

}  // namespace qi
