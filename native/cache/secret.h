// What signs kept plans. It lies where no variable leads and no jail reaches (secretFolder in src/profile/control.ts):
// whatever a payload leaves in a folder that a later launch takes for the cache, it cannot make the code of an entry.
// May run in: addon, monitor before its launch.
#pragma once
#include <cstdint>

#include "core/fd.h"
#include "core/siphash.h"

namespace qi {

using Secret = uint8_t[kSipKeyBytes];

// /tmp/qi-jail-UID; empty where it is not there, or not ours alone.
UniqueFd OpenSecretFolder();

// False for a negative `folder`, too.
bool ReadSecret(int folder, Secret& secret);

// As before; where it is missing, or no secret of ours, a new one takes its place. False where that cannot be, and
// where somebody else is just doing it.
bool MakeSecret(int folder, Secret& secret);

}  // namespace qi
