// Opening paths without following a link somebody could have planted. Runs in: monitor, init.
#pragma once
#include <sys/types.h>

namespace qi {

// Opens absolute `path` component by component below `root` (-1: the process's own root), following no link at all.
// O_PATH descriptor, or -1 with errno (ELOOP for a link). openat2(2) RESOLVE_NO_SYMLINKS; where the kernel has none,
// O_NOFOLLOW for each component.
int OpenPlain(int root, const char* path);

// As OpenPlain for the directory that holds the last component, which `*name` points to.
int OpenParent(int root, const char* path, const char** name);

}  // namespace qi
