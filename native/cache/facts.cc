#include "cache/facts.h"

#include <sys/auxv.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>

#include "core/probe.h"

namespace qi {

size_t CallerFacts(char (&out)[kFactsBytes]) {
  if (getuid() != geteuid() || getgid() != getegid() || getauxval(AT_SECURE) != 0) return 0;
  utsname host;
  gid_t groups[256];
  int group_count = getgroups(256, groups);
  if (group_count < 0 || uname(&host) != 0) return 0;
  HostProbe probe = ProbeHost();
  int n =
      snprintf(out, sizeof(out), "%s %s %s\n%u %u %" PRIx64 " %d %d %d %d %d %d\n", host.nodename, host.release,
               host.machine, probe.uid, probe.gid, probe.effective, probe.initial_user_namespace, probe.landlock_abi,
               probe.user_notif, probe.wait_killable_recv, probe.mount_setattr, probe.netns_cookie);
  if (n < 0 || static_cast<size_t>(n) >= sizeof(out)) return 0;
  auto size = static_cast<size_t>(n);
  for (int i = 0; i < group_count; ++i) {
    n = snprintf(out + size, sizeof(out) - size, "%u ", groups[i]);
    if (n < 0 || static_cast<size_t>(n) >= sizeof(out) - size) return 0;
    size += static_cast<size_t>(n);
  }
  return size;
}

}  // namespace qi
