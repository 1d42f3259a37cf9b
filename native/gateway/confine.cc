#include "gateway/confine.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <csignal>

#include "core/fd.h"
#include "core/try.h"
#include "core/uapi.h"
#include "monitor/privileges.h"

namespace qi {
namespace {

constexpr Step kStep = Step::kConfineGateway;
constexpr uint64_t kBindTcp = 1, kConnectTcp = 2;  // linux/landlock.h, since ABI 4
constexpr int kRuleNetPort = 2;

struct NetPortAttr {
  uint64_t allowed_access, port;
};

// Every right that the kernel's Landlock knows, so that each that no rule gives is gone. The number of file rights by
// ABI.
uapi::LandlockRulesetAttr Everything(long abi) {
  constexpr uint8_t kFileRights[] = {0, 13, 14, 15, 15, 16};
  constexpr long kLast = sizeof(kFileRights) - 1;
  uapi::LandlockRulesetAttr attr = {};
  attr.handled_access_fs = (1ull << kFileRights[abi < kLast ? abi : kLast]) - 1;
  attr.handled_access_net = abi >= 4 ? kBindTcp | kConnectTcp : 0;
  attr.scoped = abi >= 6 ? 3 : 0;  // abstract sockets and signals
  return attr;
}

// TCP goes to resolvers and inspected ports; with the rest closed, a gateway that was taken over cannot talk to what
// listens on the host's loopback. Landlock knows no UDP ports.
Result Seal(const uint16_t* ports, size_t count, bool optional) {
  long abi = syscall(uapi::kLandlockCreateRuleset, nullptr, 0, uapi::kLandlockCreateRulesetVersion);
  if (abi < 1) return optional ? Ok() : Fail(kStep, abi < 0 ? errno : ENOSYS, "Landlock");
  uapi::LandlockRulesetAttr attr = Everything(abi);
  size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;  // an older kernel takes no longer one
  UniqueFd ruleset(static_cast<int>(syscall(uapi::kLandlockCreateRuleset, &attr, size, 0)));
  if (!ruleset) return Fail(kStep, errno, "Landlock ruleset");
  for (size_t i = 0; i < count && attr.handled_access_net != 0; ++i) {
    NetPortAttr rule = {kConnectTcp, ports[i]};
    if (syscall(uapi::kLandlockAddRule, ruleset.get(), kRuleNetPort, &rule, 0) != 0)
      return Fail(kStep, errno, "Landlock port");
  }
  if (syscall(uapi::kLandlockRestrictSelf, ruleset.get(), 0) != 0) return Fail(kStep, errno, "Landlock");
  return Ok();
}

}  // namespace

Result BecomeNobody(const Jail& jail, pid_t parent) {
  QI_BEGIN(jail, kStep);
  if (jail.Has(kPlanPrivileged)) {
    // While it may. Where it may not (a container's root), no_new_privs makes the bounding set meaningless.
    for (int cap = 0; cap < 64; ++cap) (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    gid_t gid = jail.plan->gid_outside;
    uid_t uid = jail.plan->uid_outside;
    if (syscall(SYS_setgroups, 0, nullptr) != 0) return Fail(kStep, errno, "setgroups");
    if (syscall(SYS_setresgid, gid, gid, gid) != 0) return Fail(kStep, errno, "setresgid");
    if (syscall(SYS_setresuid, uid, uid, uid) != 0) return Fail(kStep, errno, "setresuid");
  }
  // After the change of user, which clears it. PR_SET_PDEATHSIG(2const)
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return Fail(kStep, errno, "pdeathsig");
  return getppid() == parent ? Ok() : Fail(kStep, ESRCH, "qi-monitor is gone");
}

Result RaiseDescriptorLimit(size_t* limit) {
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return Fail(kStep, errno, "getrlimit");
  files.rlim_cur = files.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) return Fail(kStep, errno, "setrlimit");
  *limit = files.rlim_cur;
  return Ok();
}

Result Confine(const Jail& jail, const uint16_t* ports, size_t count, bool landlock_optional) {
  QI_TRY(DropCapabilities(jail, kStep, kStep));
  QI_TRY(SetNoNewPrivs(jail, kStep));
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Fail(kStep, errno, "dumpable");
  QI_TRY(Seal(ports, count, landlock_optional));
  return InstallFilter(jail, kStep, jail.plan->gateway_filter, nullptr);
}

}  // namespace qi
