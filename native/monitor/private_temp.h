// The folder for temporary files of a jail without a private root: made on the host for this launch alone, and removed
// with all that is in it when everything in the jail has ended. Runs in: monitor, init, warden.
#pragma once
#include "monitor/jail.h"

namespace qi {

// Step kMakeTemp.
Result MakeTemp(const Jail& jail);

// Nobody may be left who writes to it. What belongs to others stays, and so does then the folder.
void RemoveTemp(const Jail& jail);

}  // namespace qi
