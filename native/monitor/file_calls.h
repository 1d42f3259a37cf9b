// The calls that take a path, and where each keeps what an observer wants of it. Runs in: monitor.
#pragma once

namespace qi {

struct FileCall {
  enum Act { kOpen, kExecute, kEnter, kRemove, kMake, kRename, kLink, kTruncate, kAttributes };

  const char* name;
  Act act;
  // Argument numbers; -1: it has none.
  int dirfd, path;
  int to_dirfd = -1, to_path = -1;  // the new name of what is moved or linked
  int flags = -1, mode = -1;
  unsigned fixed_flags = 0;  // what the call says by its name
};

// Null for a call that names no file.
const FileCall* FindFileCall(const char* name);

}  // namespace qi
