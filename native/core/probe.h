// What this kernel and caller allow, each found out by a call. May run in: addon.
#pragma once
#include <cstdint>

namespace qi {

struct HostProbe {
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t effective = 0;  // capabilities
  bool initial_user_namespace = false;
  int landlock_abi = 0;
  bool user_notif = false;
  bool wait_killable_recv = false;
  bool mount_setattr = false;
  bool netns_cookie = false;
};

HostProbe ProbeHost();

}  // namespace qi
