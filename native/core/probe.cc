#include "core/probe.h"

#include <linux/capability.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "core/fd.h"
#include "core/uapi.h"

namespace qi {
namespace {

uint64_t EffectiveCapabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return 0;
  return data[0].effective | static_cast<uint64_t>(data[1].effective) << 32;
}

// The initial namespace maps every id onto itself. user_namespaces(7)
bool MapsEverything() {
  char text[64] = {};
  UniqueFd fd(openat(AT_FDCWD, "/proc/self/uid_map", O_RDONLY | O_CLOEXEC));
  if (!fd || read(fd.get(), text, sizeof(text) - 1) <= 0) return false;
  return strstr(text, "4294967295") != nullptr;
}

bool HasAction(uint32_t action) { return uapi::Seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0; }

// With a null program the kernel checks the flags first: EFAULT means it knows them. seccomp(2)
bool HasFilterFlag(unsigned flags) {
  return uapi::Seccomp(SECCOMP_SET_MODE_FILTER, flags, nullptr) != 0 && errno == EFAULT;
}

// A socket of any family names its network namespace.
bool TellsNetworksApart() {
  constexpr int kSoNetnsCookie = 71;  // SO_NETNS_COOKIE, socket(7)
  UniqueFd any(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  return any && getsockopt(any.get(), SOL_SOCKET, kSoNetnsCookie, &cookie, &size) == 0;
}

}  // namespace

HostProbe ProbeHost() {
  HostProbe probe;
  probe.uid = geteuid();
  probe.gid = getegid();
  probe.effective = EffectiveCapabilities();
  probe.initial_user_namespace = MapsEverything();
  long abi = syscall(uapi::kLandlockCreateRuleset, nullptr, 0, uapi::kLandlockCreateRulesetVersion);
  probe.landlock_abi = abi > 0 ? static_cast<int>(abi) : 0;
  probe.user_notif = HasAction(SECCOMP_RET_USER_NOTIF);
  probe.wait_killable_recv = HasFilterFlag(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
  uapi::MountAttr attr = {};
  // With nothing to change the call succeeds before it looks at the descriptor.
  probe.mount_setattr = uapi::MountSetattr(-1, "", 0, &attr) == 0 || errno != ENOSYS;
  probe.netns_cookie = TellsNetworksApart();
  return probe;
}

}  // namespace qi
