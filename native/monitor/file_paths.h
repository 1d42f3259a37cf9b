// Where a path leads in the jail, as the payload would name it in the host (grants keep their names). The text is a
// copy and everything else is looked up anew, so what the call itself comes to may differ: for telling, never for
// deciding. Runs in: monitor.
#pragma once
#include <sys/types.h>

#include <climits>
#include <cstdint>

#include "core/fd.h"
#include "monitor/budget.h"

namespace qi {

struct FilePath {
  UniqueFd at;                   // what is there, O_PATH; none: see `error`
  UniqueFd parent;               // its folder, if there is one
  int error = 0;                 // why there is nothing
  bool is_last = false;          // nothing is there, but its folder is
  bool is_unseen = false;        // to follow it would take too long: `path` is as it was written, and says nothing
  char path[PATH_MAX * 2] = "";  // canonical as far as it exists, then as it was written

  const char* Name() const;  // of the last component
};

class FilePaths {
 public:
  void SetRoot(int root) { root_ = root; }

  // `text` as thread `tid` would find it from `dirfd`. False when it is not by a name that it can be found: a magic
  // link of /proc, a folder that is no longer there.
  bool Find(pid_t tid, int dirfd, const char* text, bool follow, FilePath* found) const;

 private:
  bool Join(pid_t tid, int dirfd, const char* text, char* out, size_t room) const;
  int Open(const char* path, int flags) const;
  void OpenParent(FilePath* found) const;
  UniqueFd OpenLongest(char* path, const Budget& budget, size_t* end, FilePath* found) const;
  void FindAncestor(const Budget& budget, FilePath* found) const;

  int root_ = -1;
};

}  // namespace qi
