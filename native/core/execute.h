// Becoming another program: for a command that a policy lets run without a jail. May run in: addon.
#pragma once
#include <cstdint>

namespace qi {

// Gives the command what a shell would give it, and execs; `open_files`: the soft limit, if it is below the one of now.
// Returns only when that failed: the errno.
int Execute(const char* file, char* const* argv, char* const* envp, uint64_t open_files);

}  // namespace qi
