// Opening paths without following a link somebody could have planted. Runs in: monitor, init.
#pragma once
#include <sys/types.h>

#include "core/fd.h"

namespace qi {

// Opens absolute `path` component by component below `root` (-1: the process's own root), following no link at all.
// O_PATH descriptor, or -1 with errno (ELOOP for a link). openat2(2) RESOLVE_NO_SYMLINKS; where the kernel has none,
// O_NOFOLLOW for each component.
int OpenPlain(int root, const char* path);

// As OpenPlain for the directory that holds the last component, which `*name` points to.
int OpenParent(int root, const char* path, const char** name);

// What absolute `path` names in a jail's `root`, as the payload's own call would find it: links are followed, inside.
// An O_PATH descriptor, or -1 with errno.
int OpenInside(int root, const char* path, int flags);

// The folder of what absolute `path` names in a jail's `root`, as the payload's own call would find it: links on the
// way are followed, inside. The last component, which `path` loses, goes to `name`; false where it is none that can be
// made.
bool OpenFolderOf(int root, char* path, UniqueFd* folder, char (&name)[256]);

// Whether something is mounted on `name` in the folder, or that cannot be told. The jail's mounts are not in
// qi-monitor's mount namespace, so what it renames or removes there it does not find busy, as the payload's own call
// would: it would carry a pin or a write-deny away, or replace what is under it.
bool IsMountPoint(int folder, const char* name);

}  // namespace qi
