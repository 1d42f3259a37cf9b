// What bin/qi-jail starts: a run whose plan is kept goes on from that plan, in this process; anything else becomes the
// command line tool. Runs in: monitor before its launch.
#pragma once

namespace qi {

// The plan of `qi-jail ARGS` of the package in `root` sealed at kPlanFd, its audit file at kAuditFd, everything else as
// becomeMonitor leaves it. False, with nothing changed that matters, where there is none that can be trusted and holds
// now.
bool TakeKeptPlan(const char* root, char* const* args);

// `node ROOT/bin/qi-jail.cjs ARGS`; returns the status to exit with when that cannot be.
int BecomeTool(const char* root, char* const* args);

}  // namespace qi
