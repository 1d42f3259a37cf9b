// Becoming another program: for a command that a policy lets run without a jail. May run in: addon.
#pragma once

namespace qi {

// Gives the command what a shell would give it, and execs. Returns only when that failed: the errno.
int Execute(const char* file, char* const* argv, char* const* envp);

}  // namespace qi
