// Mount primitives: a clone of a subtree with its own attributes, attached at a verified place. The new mount API where
// the kernel has it (5.2, mount_setattr 5.12), mount(2) on /proc/self/fd paths where not. Runs in: monitor, init.
#pragma once
#include <cstdint>

#include "core/fd.h"

namespace qi {

struct MountAttributes {
  uint64_t set = 0;    // MOUNT_ATTR_*
  uint64_t clear = 0;  // MOUNT_ATTR_*
  bool recursive = false;
};

// Clones the subtree at `fd` (O_PATH) as a detached mount. -1 with errno; ENOSYS: use AttachLegacy.
int CloneSubtree(int fd, bool recursive);

// Changes attributes of the mount(s) at `fd`. Falls back to remounts, one per submount, when mount_setattr is missing.
// Returns 0 or an errno.
int SetAttributes(int fd, const MountAttributes& attributes);

// Makes a detached mount private (no propagation) and, with `userns` >= 0, id-mapped. Returns 0 or an errno.
int PrepareDetached(int mount, int userns, bool recursive);

// Attaches detached `mount` on `target`. Returns 0 or an errno.
int Attach(int mount, int target);

// Binds `source` (O_PATH) on `target` (O_PATH) with mount(2). Returns 0 or an errno.
int AttachLegacy(int source, int target, bool recursive);

// Mounts a new file system instance on `target` (O_PATH) with NOSUID and whatever `attr_set` adds. `options`:
// "k=v,k=v". Returns 0 or an errno.
int MountNew(const char* type, int target, const char* options, uint64_t attr_set);

// A new tmpfs on top of the current root; `*root` gets a descriptor of it. Nothing of the host is hidden from the
// caller by it: a process's root does not follow mounts stacked on it. Returns 0 or an errno.
int MountRootTmpfs(uint64_t bytes, uint32_t inodes, UniqueFd* root);

}  // namespace qi
