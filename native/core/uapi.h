// Kernel constants and calls that the build host's headers may lack. Numbers from include/uapi of Linux; calls
// since 5.1 have the same number on every architecture. May run in: addon, monitor, child.
#pragma once
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/stat.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1)
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace qi::uapi {

inline constexpr long kPidfdSendSignal = 424;
inline constexpr long kOpenTree = 428;
inline constexpr long kMoveMount = 429;
inline constexpr long kFsopen = 430;
inline constexpr long kFsconfig = 431;
inline constexpr long kFsmount = 432;
inline constexpr long kPidfdOpen = 434;
inline constexpr long kClone3 = 435;
inline constexpr long kCloseRange = 436;
inline constexpr long kOpenat2 = 437;
inline constexpr long kPidfdGetfd = 438;
inline constexpr long kMountSetattr = 442;
inline constexpr long kLandlockCreateRuleset = 444;
inline constexpr long kLandlockAddRule = 445;
inline constexpr long kLandlockRestrictSelf = 446;

// linux/mount.h
inline constexpr unsigned kOpenTreeClone = 1;
inline constexpr unsigned kOpenTreeCloexec = O_CLOEXEC;
inline constexpr unsigned kAtRecursive = 0x8000;
inline constexpr unsigned kAtEmptyPath = 0x1000;
inline constexpr unsigned kMoveMountFEmptyPath = 0x4;
inline constexpr unsigned kMoveMountTEmptyPath = 0x40;
inline constexpr unsigned kFsopenCloexec = 1;
inline constexpr unsigned kFsmountCloexec = 1;
inline constexpr unsigned kFsconfigSetString = 1;
inline constexpr unsigned kFsconfigCmdCreate = 6;
inline constexpr uint64_t kMountAttrRdonly = 0x1;
inline constexpr uint64_t kMountAttrNosuid = 0x2;
inline constexpr uint64_t kMountAttrNodev = 0x4;
inline constexpr uint64_t kMountAttrNoexec = 0x8;
inline constexpr uint64_t kMountAttrIdmap = 0x00100000;

struct MountAttr {
  uint64_t attr_set;
  uint64_t attr_clr;
  uint64_t propagation;
  uint64_t userns_fd;
};

// linux/openat2.h
struct OpenHow {
  uint64_t flags;
  uint64_t mode;
  uint64_t resolve;
};
inline constexpr uint64_t kResolveNoXdev = 0x01;
inline constexpr uint64_t kResolveNoMagiclinks = 0x02;
inline constexpr uint64_t kResolveNoSymlinks = 0x04;
inline constexpr uint64_t kResolveBeneath = 0x08;
inline constexpr uint64_t kResolveInRoot = 0x10;

struct CloneArgs {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

// linux/landlock.h, ABI 6
struct LandlockRulesetAttr {
  uint64_t handled_access_fs, handled_access_net, scoped;
};
struct LandlockPathBeneathAttr {
  uint64_t allowed_access;
  int32_t parent_fd;
} __attribute__((packed));
inline constexpr unsigned kLandlockCreateRulesetVersion = 1;
inline constexpr int kLandlockRulePathBeneath = 1;
inline constexpr uint64_t kLandlockScopeSignal = 1ULL << 1;
inline constexpr uint64_t kLandlockFsDirectoryOnly =  // rights that a file's rule may not name (EINVAL)
    (1ULL << 3) | (1ULL << 4) | (1ULL << 5) | (1ULL << 6) | (1ULL << 7) | (1ULL << 8) | (1ULL << 9) | (1ULL << 10) |
    (1ULL << 11) | (1ULL << 12) | (1ULL << 13);

inline int OpenTree(int dfd, const char* path, unsigned flags) {
  return static_cast<int>(syscall(kOpenTree, dfd, path, flags));
}
inline int MoveMount(int from, const char* from_path, int to, const char* to_path, unsigned flags) {
  return static_cast<int>(syscall(kMoveMount, from, from_path, to, to_path, flags));
}
inline int MountSetattr(int dfd, const char* path, unsigned flags, MountAttr* attr) {
  return static_cast<int>(syscall(kMountSetattr, dfd, path, flags, attr, sizeof(*attr)));
}
inline int Fsopen(const char* type, unsigned flags) { return static_cast<int>(syscall(kFsopen, type, flags)); }
inline int Fsconfig(int fd, unsigned cmd, const char* key, const char* value) {
  return static_cast<int>(syscall(kFsconfig, fd, cmd, key, value, 0));
}
inline int Fsmount(int fd, unsigned flags, unsigned attr) {
  return static_cast<int>(syscall(kFsmount, fd, flags, attr));
}
inline int Openat2(int dfd, const char* path, uint64_t flags, uint64_t resolve, uint64_t mode = 0, int tries = 64) {
  OpenHow how = {flags, mode, resolve};
  // EAGAIN: somebody on the machine renamed or mounted while a ".." was followed, so the kernel could not tell where it
  // led. Bounded, for a payload could rename forever. openat2(2)
  long fd = -1;
  for (int attempts = 0; attempts < tries; ++attempts) {
    fd = syscall(kOpenat2, dfd, path, &how, sizeof(how));
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return static_cast<int>(fd);
}
inline int CloseRange(unsigned first, unsigned last, unsigned flags) {
  return static_cast<int>(syscall(kCloseRange, first, last, flags));
}
// Whatever the flags: musl's dup3 without any is dup2, which no filter of ours allows.
inline int Dup3(int fd, int to, int flags) { return static_cast<int>(syscall(SYS_dup3, fd, to, flags)); }
// musl has had a call of its own since 1.2.5 only.
inline int Statx(int dfd, const char* path, int flags, unsigned mask, struct statx* st) {
  return static_cast<int>(syscall(SYS_statx, dfd, path, flags, mask, st));
}
inline int PidfdOpen(pid_t pid, unsigned flags) { return static_cast<int>(syscall(kPidfdOpen, pid, flags)); }
inline int PidfdGetfd(int pidfd, int fd) { return static_cast<int>(syscall(kPidfdGetfd, pidfd, fd, 0)); }
inline int PidfdSendSignal(int pidfd, int signal) {
  return static_cast<int>(syscall(kPidfdSendSignal, pidfd, signal, nullptr, 0));
}
inline int Seccomp(unsigned op, unsigned flags, void* args) {
  return static_cast<int>(syscall(SYS_seccomp, op, flags, args));
}

}  // namespace qi::uapi
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif
