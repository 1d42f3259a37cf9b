// The process that ends a jail without namespaces whoever of its supervisors was killed. A pid namespace ends with its
// init, whatever that died of; a stand-in that is killed together with qi-monitor would leave processes that fork and
// end faster than anybody finds them. The warden shares a Landlock domain, which keeps signals inside, with the
// stand-in and the jail: "all that I may signal" is what is to end, and kill(2) reaches all of it in one step under the
// lock that a fork has to take, too. Its own domain keeps the payload from signalling it, and no line of descent leads
// to it from the stand-in. Runs in: init, warden.
#pragma once
#include <sys/types.h>

#include "monitor/jail.h"

namespace qi {

// Of a plan that HasWarden. The calling process, the stand-in, enters that domain: afterwards it can signal nobody
// else. `proc`: /proc. `status`: channel on which the warden says that it is ready. `pid` is a child of qi-monitor.
Result StartWarden(const Jail& jail, int status, int proc, pid_t* pid);

}  // namespace qi
