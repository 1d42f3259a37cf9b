#include "monitor/privileges.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>

#include "core/fd.h"
#include "core/try.h"
#include "core/uapi.h"

namespace qi {
namespace {

constexpr int kHighestCapability = 63;  // two 32-bit words; PR_CAPBSET_DROP of an unknown one is EINVAL

// `bounding`: could be emptied. Without it no_new_privs keeps it from mattering. Of the ambient set need not be asked:
// it holds nothing that is not permitted and inheritable too. capabilities(7)
Result VerifyCapabilities(Step step, uint64_t keep, bool bounding) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return Fail(step, errno, "capget");
  uint64_t left = 0;
  for (int i = 0; i < 2; ++i) {
    left |= uint64_t{data[i].effective | data[i].permitted} << (32 * i);
    if (data[i].inheritable != 0) return Fail(step, EPERM, "an inheritable capability is left");
  }
  if ((left & ~keep) != 0) return Fail(step, EPERM, "a capability is left");
  for (int cap = 0; bounding && cap <= kHighestCapability; ++cap) {
    int in_set = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
    if (in_set < 0) break;
    if (in_set != 0) return Fail(step, EPERM, "the bounding set is not empty");
  }
  return Ok();
}

}  // namespace

Result DropCapabilities(const Jail& jail, Step drop_step, Step verify_step, uint64_t keep) {
  QI_BEGIN(jail, drop_step);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return Fail(drop_step, errno, "capget");
  // Without CAP_SETPCAP (qi-monitor of a plain user) the bounding set cannot shrink, and with no_new_privs cannot
  // matter.
  bool may_shrink = (data[0].effective & (1u << CAP_SETPCAP)) != 0;
  for (int cap = 0; may_shrink && cap <= kHighestCapability; ++cap) {
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;  // past the last one this kernel has
    return Fail(drop_step, errno, "bounding set");
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return Fail(drop_step, errno, "ambient set");
  __user_cap_data_struct kept[2] = {};
  for (int i = 0; i < 2; ++i)
    kept[i].effective = kept[i].permitted = data[i].permitted & static_cast<uint32_t>(keep >> (32 * i));
  if (may_shrink) {
    // Securebits need CAP_SETPCAP, so they are locked by LockSecurebits before the last capability goes.
    QI_TRY(LockSecurebits(jail, Step::kLockSecurebits));
  }
  if (syscall(SYS_capset, &header, kept) != 0) return Fail(drop_step, errno, "capset");
  QI_BEGIN(jail, verify_step);
  return VerifyCapabilities(verify_step, keep, may_shrink);
}

Result LockSecurebits(const Jail& jail, Step step) {
  QI_BEGIN(jail, step);
  constexpr unsigned long kBits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                  SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                  SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  if (prctl(PR_SET_SECUREBITS, kBits, 0, 0, 0) != 0) return Fail(step, errno);
  return prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) == static_cast<int>(kBits) ? Ok() : Fail(step, EPERM, "read back");
}

Result SetNoNewPrivs(const Jail& jail, Step step) {
  QI_BEGIN(jail, step);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Fail(step, errno, "no_new_privs");
  return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? Ok() : Fail(step, EPERM, "no_new_privs read back");
}

Result InstallFilter(const Jail& jail, Step step, const PlanBytes& filter, int* listener) {
  QI_BEGIN(jail, step);
  Span<uint8_t> bytes = Bytes(jail.blob, filter);
  sock_fprog program = {static_cast<unsigned short>(bytes.size / sizeof(sock_filter)),
                        reinterpret_cast<sock_filter*>(const_cast<uint8_t*>(bytes.data))};
  if (listener == nullptr) {
    return uapi::Seccomp(SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? Ok() : Fail(step, errno);
  }
  // WAIT_KILLABLE_RECV (5.19): a signal cannot interrupt a call that is being decided, so none is decided twice.
  int fd = uapi::Seccomp(SECCOMP_SET_MODE_FILTER,
                         SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
  if (fd < 0 && errno == EINVAL)
    fd = uapi::Seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  if (fd < 0) return Fail(step, errno, errno == EBUSY ? "another seccomp listener is active" : "");
  *listener = fd;
  return Ok();
}

}  // namespace qi
