// The caller's environment, which a run without a host needs until its launch cannot fail any more. Runs in: monitor,
// and in what is forked from it.
#pragma once
#include <unistd.h>

#include <cstring>

namespace qi {

// Tokens and passwords lie in it: not to be found in the memory of whoever is close to the payload.
inline void ForgetEnvironment() {
  for (char** variable = environ; *variable != nullptr; ++variable) explicit_bzero(*variable, strlen(*variable));
}

}  // namespace qi
