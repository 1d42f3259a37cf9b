#include "monitor/mounts.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/uapi.h"
#include "monitor/paths.h"

namespace qi {
namespace {

struct FdPath {
  char text[40];
  explicit FdPath(int fd) { snprintf(text, sizeof(text), "/proc/self/fd/%d", fd); }
};

bool Missing(int error) { return error == ENOSYS; }

// A bind remount replaces all flags at once, and clearing one the parent namespace locked is EPERM: start from what is
// there.
unsigned long RemountFlags(const struct statvfs& now, const MountAttributes& a) {
  unsigned long flags = 0;
  if (now.f_flag & ST_RDONLY) flags |= MS_RDONLY;
  if (now.f_flag & ST_NOSUID) flags |= MS_NOSUID;
  if (now.f_flag & ST_NODEV) flags |= MS_NODEV;
  if (now.f_flag & ST_NOEXEC) flags |= MS_NOEXEC;
  if (now.f_flag & ST_NOATIME) flags |= MS_NOATIME;
  if (now.f_flag & ST_NODIRATIME) flags |= MS_NODIRATIME;
  if (now.f_flag & ST_RELATIME) flags |= MS_RELATIME;
  const struct {
    uint64_t attr;
    unsigned long flag;
  } map[] = {{uapi::kMountAttrRdonly, MS_RDONLY},
             {uapi::kMountAttrNosuid, MS_NOSUID},
             {uapi::kMountAttrNodev, MS_NODEV},
             {uapi::kMountAttrNoexec, MS_NOEXEC}};
  for (const auto& m : map) {
    if (a.clear & m.attr) flags &= ~m.flag;
    if (a.set & m.attr) flags |= m.flag;
  }
  return flags;
}

int RemountOne(const char* path, const MountAttributes& a) {
  struct statvfs now;
  if (statvfs(path, &now) != 0) return errno;
  if (mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND | RemountFlags(now, a), nullptr) != 0) return errno;
  return 0;
}

// mountinfo escapes space, tab, newline and backslash as \ooo. proc_pid_mountinfo(5)
void Unescape(char* s) {
  char* out = s;
  for (; *s != 0; ++s) {
    if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] != 0 && s[3] != 0) {
      *out++ = static_cast<char>((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
      s += 3;
    } else {
      *out++ = *s;
    }
  }
  *out = 0;
}

// Which mount a descriptor is on. proc_pid_fdinfo(5)
long MountId(int fd) {
  char path[48], text[512];
  snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
  UniqueFd info(openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
  ssize_t n = info ? RetryEintr([&] { return read(info.get(), text, sizeof(text) - 1); }) : -1;
  if (n < 0) return -1;
  text[n] = 0;
  const char* at = strstr(text, "mnt_id:");
  return at != nullptr ? strtol(at + 7, nullptr, 10) : -1;
}

// The numbers of the mounts at and below one mount.
class Subtree {
 public:
  explicit Subtree(long top) { (void)Add(top); }
  ~Subtree() { free(ids_); }
  Subtree(const Subtree&) = delete;
  Subtree& operator=(const Subtree&) = delete;

  bool Has(long id) const {
    for (size_t i = 0; i < size_; ++i) {
      if (ids_[i] == id) return true;
    }
    return false;
  }
  bool Add(long id) {
    if (size_ == room_) {
      size_t room = room_ * 2 + 64;
      auto* larger = static_cast<long*>(realloc(ids_, room * sizeof(long)));
      if (larger == nullptr) return false;
      ids_ = larger;
      room_ = room;
    }
    ids_[size_++] = id;
    return true;
  }

 private:
  long* ids_ = nullptr;
  size_t size_ = 0, room_ = 0;
};

// Every mount below that of `fd`, one remount each. Told by number, not by path: the private root lies on top of a
// place of the old root, whose own mounts have paths that look the same.
int RemountBelow(int fd, const MountAttributes& a) {
  char top[PATH_MAX];
  ssize_t n = readlink(FdPath(fd).text, top, sizeof(top) - 1);
  long top_id = MountId(fd);
  if (n < 0 || top_id < 0) return n < 0 ? errno : ENOENT;
  top[n] = 0;
  size_t skip = strcmp(top, "/") == 0 ? 0 : static_cast<size_t>(n);
  FILE* f = fopen("/proc/self/mountinfo", "re");
  if (f == nullptr) return errno;
  Subtree subtree(top_id);
  char* line = nullptr;
  size_t room = 0;
  int error = 0;
  // A mount that was moved is listed before the one it was moved onto: until nothing new turns up.
  for (bool grew = true; grew && error == 0;) {
    grew = false;
    rewind(f);
    while (error == 0 && getline(&line, &room, f) > 0) {
      long id, parent;
      int at = 0;
      if (sscanf(line, "%ld %ld %*s %*s %n", &id, &parent, &at) != 2 || at == 0) continue;
      if (subtree.Has(id) || !subtree.Has(parent)) continue;
      grew = true;
      char* path = line + at;
      *strchrnul(path, ' ') = 0;
      Unescape(path);
      if (!subtree.Add(id)) error = ENOMEM;
      UniqueFd mounted(error == 0 && strncmp(path, top, skip) == 0 ? OpenPlain(fd, path + skip) : -1);
      if (error == 0) error = mounted ? RemountOne(FdPath(mounted.get()).text, a) : errno;
    }
  }
  free(line);
  (void)fclose(f);  // only read from
  return error;
}

int SetAttributesLegacy(int fd, const MountAttributes& a) {
  if (int error = RemountOne(FdPath(fd).text, a)) return error;
  return a.recursive ? RemountBelow(fd, a) : 0;
}

int Configure(int fs, const char* options) {
  char copy[256];
  if (snprintf(copy, sizeof(copy), "%s", options) >= static_cast<int>(sizeof(copy))) return E2BIG;
  char* rest = copy;
  while (char* item = strsep(&rest, ",")) {
    if (*item == 0) continue;
    char* value = strchr(item, '=');
    if (value == nullptr) return EINVAL;
    *value++ = 0;
    if (uapi::Fsconfig(fs, uapi::kFsconfigSetString, item, value) != 0) return errno;
  }
  return uapi::Fsconfig(fs, uapi::kFsconfigCmdCreate, nullptr, nullptr) != 0 ? errno : 0;
}

// A detached mount of a new instance. -1 with errno.
int MakeDetached(const char* type, const char* options, uint64_t attr_set) {
  UniqueFd fs(uapi::Fsopen(type, uapi::kFsopenCloexec));
  if (!fs) return -1;
  if (int error = Configure(fs.get(), options)) {
    errno = error;
    return -1;
  }
  return uapi::Fsmount(fs.get(), uapi::kFsmountCloexec, static_cast<unsigned>(attr_set));
}

unsigned long LegacyFlags(uint64_t attr) {
  return MS_NOSUID | (attr & uapi::kMountAttrNodev ? MS_NODEV : 0) | (attr & uapi::kMountAttrNoexec ? MS_NOEXEC : 0) |
         (attr & uapi::kMountAttrRdonly ? MS_RDONLY : 0);
}

int MountRootLegacy(const char* options, UniqueFd* root) {
  // mount(2) needs a path, and the path it covers is out of reach afterwards: one that nobody grants.
  for (const char* place : {"/sys", "/proc", "/tmp"}) {
    if (mount("tmpfs", place, "tmpfs", MS_NOSUID, options) != 0) continue;
    root->reset(openat(AT_FDCWD, place, O_PATH | O_DIRECTORY | O_CLOEXEC));
    return *root ? 0 : errno;
  }
  return errno;
}

}  // namespace

int CloneSubtree(int fd, bool recursive) {
  unsigned flags = uapi::kOpenTreeClone | uapi::kOpenTreeCloexec | uapi::kAtEmptyPath;
  return uapi::OpenTree(fd, "", recursive ? flags | uapi::kAtRecursive : flags);
}

int SetAttributes(int fd, const MountAttributes& a) {
  if (a.set == 0 && a.clear == 0) return 0;
  uapi::MountAttr attr = {a.set, a.clear, 0, 0};
  unsigned flags = uapi::kAtEmptyPath | (a.recursive ? uapi::kAtRecursive : 0);
  if (uapi::MountSetattr(fd, "", flags, &attr) == 0) return 0;
  return Missing(errno) ? SetAttributesLegacy(fd, a) : errno;
}

int PrepareDetached(int mount, int userns, bool recursive) {
  uapi::MountAttr attr = {};
  // A clone of a shared mount is its peer: what the jail mounts on it would appear on the host, and the reverse.
  attr.propagation = MS_PRIVATE;
  if (userns >= 0) {
    attr.attr_set = uapi::kMountAttrIdmap;
    attr.userns_fd = static_cast<uint64_t>(userns);
  }
  unsigned flags = uapi::kAtEmptyPath | (recursive ? uapi::kAtRecursive : 0);
  return uapi::MountSetattr(mount, "", flags, &attr) == 0 ? 0 : errno;
}

int Attach(int mount, int target) {
  unsigned flags = uapi::kMoveMountFEmptyPath | uapi::kMoveMountTEmptyPath;
  return uapi::MoveMount(mount, "", target, "", flags) == 0 ? 0 : errno;
}

int AttachLegacy(int source, int target, bool recursive) {
  FdPath from(source), to(target);
  return mount(from.text, to.text, nullptr, MS_BIND | (recursive ? MS_REC : 0), nullptr) == 0 ? 0 : errno;
}

int MountNew(const char* type, int target, const char* options, uint64_t attr_set) {
  UniqueFd mounted(MakeDetached(type, options, attr_set | uapi::kMountAttrNosuid));
  if (mounted) return Attach(mounted.get(), target);
  if (!Missing(errno)) return errno;
  FdPath path(target);
  return mount(type, path.text, type, LegacyFlags(attr_set), options) == 0 ? 0 : errno;
}

int MountRootTmpfs(uint64_t bytes, uint32_t inodes, UniqueFd* root) {
  char options[96];
  snprintf(options, sizeof(options), "size=%llu,nr_inodes=%u,mode=755", static_cast<unsigned long long>(bytes), inodes);
  UniqueFd mounted(MakeDetached("tmpfs", options, uapi::kMountAttrNosuid));
  if (!mounted) return Missing(errno) ? MountRootLegacy(options, root) : errno;
  UniqueFd here(openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!here) return errno;
  if (int error = Attach(mounted.get(), here.get())) return error;
  *root = std::move(mounted);
  return 0;
}

}  // namespace qi
