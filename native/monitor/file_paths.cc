#include "monitor/file_paths.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>

#include "monitor/paths.h"
#include "monitor/target.h"

namespace qi {
namespace {

// The name of an open file, from the root of its mounts: the jail's. False for one that has none (any more).
bool NameOf(const char* link, char* out, size_t room) {
  ssize_t n = readlink(link, out, room - 1);
  if (n <= 0 || out[0] != '/' || static_cast<size_t>(n) >= room - 1) return false;
  out[n] = 0;
  return true;
}

bool NameOfOwn(int fd, char* out, size_t room) {
  char link[64];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  return NameOf(link, out, room);
}

const char* Below(const char* path, const char* folder) {
  size_t n = strlen(folder);
  return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/') ? path + n : nullptr;
}

// The root of who asks is the jail's.
const char* WithoutOwnRoot(const char* text) {
  for (const char* link : {"/proc/self/root", "/proc/thread-self/root"}) {
    const char* rest = Below(text, link);
    if (rest != nullptr) return rest[0] == 0 ? "/" : WithoutOwnRoot(rest);
  }
  return text;
}

// Without the components that say nothing, where no link can be between them.
void Tidy(char* path) {
  char* out = path;
  for (const char* p = path; *p != 0;) {
    if (p[0] == '/' && (p[1] == '/' || p[1] == 0)) {
      ++p;
    } else if (p[0] == '/' && p[1] == '.' && (p[2] == '/' || p[2] == 0)) {
      p += 2;
    } else {
      *out++ = *p++;
    }
  }
  if (out == path) *out++ = '/';
  *out = 0;
}

}  // namespace

const char* FilePath::Name() const {
  const char* slash = strrchr(path, '/');
  return slash != nullptr ? slash + 1 : path;
}

// /proc/self is who asks: for us somebody whom the jail does not know.
bool FilePaths::Join(pid_t tid, int dirfd, const char* text, char* out, size_t room) const {
  char link[64];
  size_t base = 0;
  text = WithoutOwnRoot(text);
  if (text[0] != '/') {
    if (dirfd == AT_FDCWD) {
      snprintf(link, sizeof(link), "/proc/%d/cwd", tid);
    } else {
      snprintf(link, sizeof(link), "/proc/%d/fd/%d", tid, dirfd);
    }
    if (!NameOf(link, out, PATH_MAX)) return false;
    base = strlen(out);
    if (text[0] != 0) out[base++] = '/';
  } else if (const char* rest = Below(text, "/proc/self")) {
    base = static_cast<size_t>(snprintf(out, room, "/proc/%d", ReadStatus(tid).jail_pid));
    text = rest;
  } else if (Below(text, "/proc/thread-self") != nullptr || Below(text, "/dev/fd") != nullptr ||
             strncmp(text, "/dev/std", 8) == 0) {
    return false;
  }
  int n = snprintf(out + base, room - base, "%s", text);
  return n >= 0 && static_cast<size_t>(n) < room - base;
}

int FilePaths::Open(const char* path, int flags) const { return OpenInside(root_, path, flags); }

void FilePaths::OpenParent(FilePath* found) const {
  char folder[sizeof(found->path)];
  snprintf(folder, sizeof(folder), "%s", found->path);
  char* slash = strrchr(folder, '/');
  if (slash == nullptr) return;
  slash[slash == folder ? 1 : 0] = 0;
  found->parent.reset(Open(folder, O_DIRECTORY));
}

// The longest beginning of `path` that leads somewhere; `path` is cut there. What leads nowhere leads nowhere with more
// behind it, so halves are tried: each try walks all of a path, which can be long.
UniqueFd FilePaths::OpenLongest(char* path, const Budget& budget, size_t* end, FilePath* found) const {
  uint16_t slashes[sizeof(found->path) / 2];  // no two are neighbours (Tidy)
  size_t count = 0;
  for (size_t i = 0; path[i] != 0; ++i) {
    if (path[i] == '/') slashes[count++] = static_cast<uint16_t>(i);
  }
  if (count == 0) return UniqueFd();  // none of ours: they begin with one
  UniqueFd folder(Open("/", 0));
  size_t known = 0, beyond = count;
  // The folder itself first: most often it is there.
  for (size_t next = count - 1; known + 1 < beyond; next = (known + beyond) / 2) {
    char* cut = path + slashes[next];
    *cut = 0;
    UniqueFd there(Open(path, 0));
    bool unsure = !there && errno == EAGAIN;
    *cut = '/';
    if (unsure || budget.IsSpent()) {
      found->is_unseen = true;
      return UniqueFd();
    }
    (there ? known : beyond) = next;
    if (there) folder = static_cast<UniqueFd&&>(there);
  }
  *end = slashes[known];
  found->is_last = known + 1 == count;
  return folder;
}

// Makes the path canonical as far as it leads somewhere.
void FilePaths::FindAncestor(const Budget& budget, FilePath* found) const {
  char rest[sizeof(found->path)], real[PATH_MAX];
  size_t end = 0;
  Tidy(found->path);
  snprintf(rest, sizeof(rest), "%s", found->path);
  UniqueFd folder = OpenLongest(rest, budget, &end, found);
  if (!folder || !NameOfOwn(folder.get(), real, sizeof(real))) return;
  const char* behind = rest + end + strspn(rest + end, "/");
  int n = snprintf(found->path, sizeof(found->path), "%s%s%s", real, real[1] == 0 ? "" : "/", behind);
  if (n < 0 || static_cast<size_t>(n) >= sizeof(found->path)) found->is_last = false;  // cut
  if (!found->is_last) return;
  struct stat st;
  bool is_folder = fstat(folder.get(), &st) == 0 && S_ISDIR(st.st_mode);
  // A link that leads nowhere has a folder too, but what would be made lies elsewhere.
  UniqueFd link(openat(folder.get(), found->Name(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  found->is_last = is_folder && !link && found->Name()[0] != 0;
  if (found->is_last) found->parent = static_cast<UniqueFd&&>(folder);
}

bool FilePaths::Find(pid_t tid, int dirfd, const char* text, bool follow, FilePath* found) const {
  Budget budget;
  if (!Join(tid, dirfd, text, found->path, sizeof(found->path))) return false;
  found->at.reset(Open(found->path, follow ? 0 : O_NOFOLLOW));
  found->error = found->at ? 0 : errno;
  if (found->at) {
    char real[PATH_MAX];
    if (!NameOfOwn(found->at.get(), real, sizeof(real))) return false;
    snprintf(found->path, sizeof(found->path), "%s", real);
    OpenParent(found);
    return true;
  }
  // Longer with its folder's name than the kernel takes; renames that go on.
  bool too_long = found->error == ENAMETOOLONG && strlen(found->path) >= PATH_MAX;
  found->is_unseen = too_long || found->error == EAGAIN;
  if (found->is_unseen) return true;
  // A magic link, a kernel without openat2.
  if (found->error != ENOENT && found->error != ENOTDIR && found->error != EACCES) return false;
  FindAncestor(budget, found);
  return true;
}

}  // namespace qi
