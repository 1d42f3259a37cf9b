#include "monitor/file_calls.h"

#include <fcntl.h>

#include <cstring>

namespace qi {
namespace {

constexpr unsigned kCreat = O_CREAT | O_WRONLY | O_TRUNC;
constexpr unsigned kNoFollow = AT_SYMLINK_NOFOLLOW;

// clang-format off: tables read best as tables
constexpr FileCall kCalls[] = {
    // name, act, dirfd, path, to_dirfd, to_path, flags, mode, fixed flags
    {"open", FileCall::kOpen, -1, 0, -1, -1, 1, 2},
    {"openat", FileCall::kOpen, 0, 1, -1, -1, 2, 3},
    {"creat", FileCall::kOpen, -1, 0, -1, -1, -1, 1, kCreat},
    {"execve", FileCall::kExecute, -1, 0},
    {"execveat", FileCall::kExecute, 0, 1, -1, -1, 4},
    {"chdir", FileCall::kEnter, -1, 0},
    {"unlink", FileCall::kRemove, -1, 0},
    {"unlinkat", FileCall::kRemove, 0, 1, -1, -1, 2},
    {"rmdir", FileCall::kRemove, -1, 0, -1, -1, -1, -1, AT_REMOVEDIR},
    {"mkdir", FileCall::kMake, -1, 0},
    {"mkdirat", FileCall::kMake, 0, 1},
    {"mknod", FileCall::kMake, -1, 0, -1, -1, -1, 1},
    {"mknodat", FileCall::kMake, 0, 1, -1, -1, -1, 2},
    {"symlink", FileCall::kMake, -1, 1},
    {"symlinkat", FileCall::kMake, 1, 2},
    {"rename", FileCall::kRename, -1, 0, -1, 1},
    {"renameat", FileCall::kRename, 0, 1, 2, 3},
    {"renameat2", FileCall::kRename, 0, 1, 2, 3, 4},
    {"link", FileCall::kLink, -1, 0, -1, 1},
    {"linkat", FileCall::kLink, 0, 1, 2, 3, 4},
    {"truncate", FileCall::kTruncate, -1, 0},
    {"chmod", FileCall::kAttributes, -1, 0},
    {"fchmodat", FileCall::kAttributes, 0, 1},
    {"fchmodat2", FileCall::kAttributes, 0, 1, -1, -1, 3},
    {"chown", FileCall::kAttributes, -1, 0},
    {"lchown", FileCall::kAttributes, -1, 0, -1, -1, -1, -1, kNoFollow},
    {"fchownat", FileCall::kAttributes, 0, 1, -1, -1, 4},
    {"utime", FileCall::kAttributes, -1, 0},
    {"utimes", FileCall::kAttributes, -1, 0},
    {"futimesat", FileCall::kAttributes, 0, 1},
    {"utimensat", FileCall::kAttributes, 0, 1, -1, -1, 3},
    {"setxattr", FileCall::kAttributes, -1, 0},
    {"lsetxattr", FileCall::kAttributes, -1, 0, -1, -1, -1, -1, kNoFollow},
    {"setxattrat", FileCall::kAttributes, 0, 1, -1, -1, 2},
    {"removexattr", FileCall::kAttributes, -1, 0},
    {"lremovexattr", FileCall::kAttributes, -1, 0, -1, -1, -1, -1, kNoFollow},
};
// clang-format on

}  // namespace

const FileCall* FindFileCall(const char* name) {
  for (const FileCall& call : kCalls) {
    if (strcmp(call.name, name) == 0) return &call;
  }
  return nullptr;
}

}  // namespace qi
