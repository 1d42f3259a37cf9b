// Test tool: `enosys CALL[,CALL...] -- CMD ARGS...` runs CMD on a kernel that seems not to have those calls.
// `enosys --no-userns -- CMD ARGS...` on one where nobody may make a user namespace.
// `enosys --listener -- CMD ARGS...` runs it below a seccomp listener, of which the kernel allows one.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/uapi.h"

namespace {

struct Call {
  const char* name;
  long number;
};

constexpr Call kCalls[] = {
    {"clone3", qi::uapi::kClone3},
    {"openat2", qi::uapi::kOpenat2},
    {"open_tree", qi::uapi::kOpenTree},
    {"move_mount", qi::uapi::kMoveMount},
    {"fsopen", qi::uapi::kFsopen},
    {"fsconfig", qi::uapi::kFsconfig},
    {"fsmount", qi::uapi::kFsmount},
    {"mount_setattr", qi::uapi::kMountSetattr},
    {"close_range", qi::uapi::kCloseRange},
    {"pidfd_open", qi::uapi::kPidfdOpen},
    {"pidfd_getfd", qi::uapi::kPidfdGetfd},
    {"pidfd_send_signal", qi::uapi::kPidfdSendSignal},
    {"landlock_create_ruleset", qi::uapi::kLandlockCreateRuleset},
    {"landlock_add_rule", qi::uapi::kLandlockAddRule},
    {"landlock_restrict_self", qi::uapi::kLandlockRestrictSelf},
};

constexpr size_t kMaxCalls = 32;
#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif

long NumberOf(const char* name) {
  for (const Call& call : kCalls) {
    if (strcmp(call.name, name) == 0) return call.number;
  }
  return -1;
}

// Splits the list in place. Returns how many calls it names, or 0 when one of them is unknown.
size_t ParseCalls(char* list, uint32_t* numbers) {
  size_t count = 0;
  for (char* name = strtok(list, ","); name != nullptr; name = strtok(nullptr, ",")) {
    long number = NumberOf(name);
    if (number < 0 || count == kMaxCalls) {
      fprintf(stderr, "enosys: unknown call %s\n", name);
      return 0;
    }
    numbers[count++] = static_cast<uint32_t>(number);
  }
  return count;
}

int Install(const uint32_t* numbers, size_t count, unsigned flags) {
  sock_filter code[2 * kMaxCalls + 4];
  unsigned short n = 0;
  code[n++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
  code[n++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArch, 0, static_cast<uint8_t>(2 * count + 1));  // else: allow
  code[n++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  for (size_t i = 0; i < count; ++i) {
    code[n++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, numbers[i], 0, 1);
    code[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
  }
  code[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  sock_fprog program = {n, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return qi::uapi::Seccomp(SECCOMP_SET_MODE_FILTER, flags, &program);
}

// unshare and clone with CLONE_NEWUSER get EPERM, as under a container's filter; clone3, whose flags no filter sees,
// ENOSYS.
int InstallNoUserNamespaces() {
  constexpr uint32_t kNewUser = 0x10000000;
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(qi::uapi::kClone3), 5, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kNewUser, 2, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
  };
  sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return qi::uapi::Seccomp(SECCOMP_SET_MODE_FILTER, 0, &program);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || strcmp(argv[2], "--") != 0) {
    fprintf(stderr, "usage: enosys CALL[,CALL...]|--listener|--no-userns -- CMD [ARG...]\n");
    return 2;
  }
  uint32_t numbers[kMaxCalls];
  bool listener = strcmp(argv[1], "--listener") == 0, no_userns = strcmp(argv[1], "--no-userns") == 0;
  size_t count = listener || no_userns ? 0 : ParseCalls(argv[1], numbers);
  if (!listener && !no_userns && count == 0) return 2;
  int fd =
      no_userns ? InstallNoUserNamespaces() : Install(numbers, count, listener ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0);
  // The listener counts only while its descriptor is open somewhere: CMD inherits it.
  if (fd < 0 || (listener && fcntl(fd, F_SETFD, 0) != 0)) {
    perror("enosys: seccomp");
    return 1;
  }
  execvp(argv[3], argv + 3);
  perror("enosys: exec");
  return 127;
}
