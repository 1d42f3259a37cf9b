// Files that nobody but this user can have written: folders and files of their own, with a mode that lets nobody else
// in, opened without following a link. May run in: addon, monitor before its launch.
#pragma once
#include "core/fd.h"

namespace qi {

// `name` below `at`, as openat(2) takes them. Empty for anything else.
UniqueFd OpenOwnFolder(int at, const char* name);
UniqueFd OpenOwnFile(int at, const char* name);

}  // namespace qi
