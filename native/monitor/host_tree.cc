#include "monitor/host_tree.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "monitor/budget.h"
#include "monitor/paths.h"
#include "monitor/proc_lines.h"

namespace qi {
namespace {

// Served by this kernel from this machine. What is not here (nfs, cifs, fuse, 9p, autofs, …) may wait for somebody.
constexpr const char* kLocal[] = {"ext2",     "ext3",      "ext4",      "xfs",     "btrfs",   "f2fs",     "bcachefs",
                                  "zfs",      "jfs",       "nilfs2",    "tmpfs",   "ramfs",   "devtmpfs", "overlay",
                                  "rootfs",   "vfat",      "exfat",     "ntfs3",   "iso9660", "udf",      "squashfs",
                                  "erofs",    "sysfs",     "cgroup",    "cgroup2", "devpts",  "mqueue",   "debugfs",
                                  "tracefs",  "hugetlbfs", "pstore",    "bpf",     "nsfs",    "proc",     "configfs",
                                  "efivarfs", "selinuxfs", "securityfs"};

constexpr size_t kRoom = 64 * 1024;
constexpr int kMaxLinks = 40;  // as the kernel, path_resolution(7)

bool IsLocal(const char* type) {
  for (const char* local : kLocal) {
    if (strcmp(local, type) == 0) return true;
  }
  return false;
}

// Blanks and backslashes are written as three octal digits. proc_pid_mountinfo(5)
void Unescape(char* text) {
  char* out = text;
  for (const char* p = text; *p != 0;) {
    unsigned code;
    // Three, or the text was cut within them.
    if (p[0] == '\\' && strspn(p + 1, "01234567") >= 3 && sscanf(p + 1, "%3o", &code) == 1) {
      *out++ = static_cast<char>(code);
      p += 4;
    } else {
      *out++ = *p++;
    }
  }
  *out = 0;
}

bool IsBelow(const char* path, const char* folder) {
  size_t n = strlen(folder);
  return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/');
}

// What is left of a path while it is walked: links put their text in front.
class Rest {
 public:
  explicit Rest(const char* path) { (void)Put(path); }

  // The next component; false at the end.
  bool Next(char* name, size_t room) {
    while (text_[at_] == '/') ++at_;
    size_t n = strcspn(text_ + at_, "/");
    if (n == 0 || n >= room) return false;
    memcpy(name, text_ + at_, n);
    name[n] = 0;
    at_ += n;
    return true;
  }
  const char* text() const { return text_ + at_; }
  bool IsEmpty() const { return text_[at_ + strspn(text_ + at_, "/")] == 0; }

  bool PutBefore(const char* link) {
    char joined[sizeof(text_)];
    int n = snprintf(joined, sizeof(joined), "%s%s", link, text());
    return n >= 0 && static_cast<size_t>(n) < sizeof(joined) && Put(joined);
  }

 private:
  bool Put(const char* text) {
    at_ = 0;
    int n = snprintf(text_, sizeof(text_), "%s", text);
    return n >= 0 && static_cast<size_t>(n) < sizeof(text_);
  }

  char text_[PATH_MAX * 2];
  size_t at_ = 0;
};

void DropLast(char* path) {
  char* slash = strrchr(path, '/');
  if (slash != nullptr) *slash = 0;
}

}  // namespace

HostTree::~HostTree() { free(shunned_); }

void HostTree::Init() {
  shunned_ = static_cast<char*>(malloc(kRoom));
  mountinfo_.reset(openat(AT_FDCWD, "/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
  ReadMounts();
}

void HostTree::ReadMounts() {
  shunned_size_ = 0;
  ProcLines lines("/proc/self/mountinfo");
  unreadable_ = shunned_ == nullptr || !mountinfo_;
  while (const char* line = lines.Next()) {
    char place[PATH_MAX], type[64];
    const char* tail = strstr(line, " - ");
    if (tail == nullptr || sscanf(line, "%*d %*d %*s %*s %4095s", place) != 1 || sscanf(tail, " - %63s", type) != 1) {
      unreadable_ = true;
      continue;
    }
    Unescape(place);
    size_t n = strlen(place) + 1;
    if (IsLocal(type) || strcmp(place, "/") == 0) continue;
    if (shunned_ == nullptr || shunned_size_ + n > kRoom) {
      unreadable_ = true;
      return;
    }
    memcpy(shunned_ + shunned_size_, place, n);
    shunned_size_ += n;
  }
}

bool HostTree::IsShunned(const char* path) {
  // Numbers of processes mean others there than in the jail.
  if (unreadable_ || IsBelow(path, "/proc")) return true;
  for (size_t at = 0; at < shunned_size_; at += strlen(shunned_ + at) + 1) {
    if (IsBelow(path, shunned_ + at)) return true;
  }
  return false;
}

HostTree::Sight HostTree::Look(const char* path, bool follow, char* canonical, size_t room) {
  pollfd changed = {mountinfo_.get(), POLLPRI, 0};
  if (mountinfo_ && poll(&changed, 1, 0) > 0) ReadMounts();
  Rest rest(path);
  char at[PATH_MAX] = "", name[NAME_MAX + 1];
  Sight sight = kThere;
  int links = 0;
  Budget budget;
  while (sight == kThere && rest.Next(name, sizeof(name))) {
    if (budget.IsSpent()) {
      sight = kBarred;
      at[0] = 0;  // what was seen says nothing of the rest
      rest = Rest(path);
      break;
    }
    if (strcmp(name, ".") == 0) continue;
    if (strcmp(name, "..") == 0) {
      DropLast(at);
      continue;
    }
    size_t end = strlen(at);
    if (end + strlen(name) + 2 > sizeof(at)) return kNothing;
    snprintf(at + end, sizeof(at) - end, "/%s", name);
    if (IsShunned(at)) return kNothing;
    // What was looked at may have become a link since: none is followed unseen.
    UniqueFd fd(OpenPlain(-1, at));
    struct stat st;
    if (!fd || fstat(fd.get(), &st) != 0) {
      sight = errno == EACCES ? kBarred : kNothing;
      break;
    }
    if (!S_ISLNK(st.st_mode) || (rest.IsEmpty() && !follow)) continue;
    char link[PATH_MAX];
    ssize_t n = readlinkat(fd.get(), "", link, sizeof(link) - 1);
    link[n > 0 ? n : 0] = 0;
    if (n <= 0 || ++links > kMaxLinks || !rest.PutBefore(link)) return kNothing;
    at[link[0] == '/' ? 0 : end] = 0;
  }
  snprintf(canonical, room, "%s%s", at[0] != 0 || !rest.IsEmpty() ? at : "/", rest.text());
  return sight;
}

}  // namespace qi
