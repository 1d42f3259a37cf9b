// Whether this host lets this user have the namespaces that a jail is made of, found by making them as a launch would.
// By qi-monitor itself, since AppArmor decides by the program. Runs in: monitor.
#pragma once
#include "core/result.h"

namespace qi {

// The first step that is not to be had, and why.
Result ProbeNamespaces();

}  // namespace qi
