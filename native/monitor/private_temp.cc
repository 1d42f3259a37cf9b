#include "monitor/private_temp.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "core/fd.h"
#include "monitor/paths.h"
#include "monitor/raw_directory.h"

namespace qi {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

// A folder whose permissions the payload took: to list, and to move, since ".." is written then.
void Unlock(int dir, const char* name) {
  UniqueFd folder(openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  char link[32];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", folder.get());
  if (folder) (void)!fchmodat(AT_FDCWD, link, 0700, 0);  // not ours: it stays
}

// Takes folders apart without descending: what is in a folder below is moved up first. However deep a payload has
// nested them, this needs two descriptors and no stack.
class Remover {
 public:
  explicit Remover(int top) : top_(top) {}

  // Until a pass over it changes nothing.
  void Empty() {
    while (Pass(top_, /*below=*/false)) {
    }
  }

 private:
  // True when something was removed or moved.
  bool Pass(int dir, bool below) {
    if (lseek(dir, 0, SEEK_SET) < 0) return false;
    RawDirectory names(dir);
    bool changed = false;
    while (const char* name = names.Next()) changed |= Remove(dir, name, below);
    return changed;
  }

  bool Remove(int dir, const char* name, bool below) {
    if (unlinkat(dir, name, 0) == 0 || unlinkat(dir, name, AT_REMOVEDIR) == 0) return true;
    Unlock(dir, name);
    if (below) return MoveUp(dir, name);
    UniqueFd folder(openat(dir, name, kOpenDirectory));
    bool changed = folder && Pass(folder.get(), /*below=*/true);
    return unlinkat(dir, name, AT_REMOVEDIR) == 0 || changed;
  }

  bool MoveUp(int dir, const char* name) {
    constexpr unsigned kNoReplace = 1;  // RENAME_NOREPLACE
    char fresh[32];
    for (int i = 0; i < 64; ++i) {
      snprintf(fresh, sizeof(fresh), ".moved-%llu", static_cast<unsigned long long>(next_++));
      if (syscall(SYS_renameat2, dir, name, top_, fresh, kNoReplace) == 0) return true;
      if (errno != EEXIST) return false;
    }
    return false;
  }

  int top_;
  uint64_t next_ = 0;
};

}  // namespace

Result MakeTemp(const Jail& jail) {
  if (!jail.Has(kPlanWithoutNamespaces)) return Ok();
  QI_BEGIN(jail, Step::kMakeTemp);
  const char* path = jail.Text(jail.plan->temp_directory);
  const char* name;
  UniqueFd parent(OpenParent(-1, path, &name));
  // A name that is there is somebody else's, whatever it is.
  if (!parent || mkdirat(parent.get(), name, 0700) != 0) return Fail(Step::kMakeTemp, errno, path);
  return Ok();
}

void RemoveTemp(const Jail& jail) {
  if (!jail.Has(kPlanWithoutNamespaces)) return;
  const char* name;
  UniqueFd parent(OpenParent(-1, jail.Text(jail.plan->temp_directory), &name));
  if (!parent) return;
  Unlock(parent.get(), name);
  UniqueFd top(openat(parent.get(), name, kOpenDirectory));
  struct stat st;
  if (!top || fstat(top.get(), &st) != 0 || st.st_uid != geteuid()) return;
  Remover(top.get()).Empty();
  (void)unlinkat(parent.get(), name, AT_REMOVEDIR);  // not empty: something in it is not ours to remove
}

}  // namespace qi
