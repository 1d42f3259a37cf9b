#include "core/filter_compile.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "core/filter_shorten.h"

namespace qi {
namespace {

constexpr uint32_t kFirstX32 = 0x40000000;  // __X32_SYSCALL_BIT
constexpr uint32_t kMaxErrno = 4095;
constexpr unsigned kApiLevelWithNotify = 6;

struct ContextRelease {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, ContextRelease>;

uint32_t ToLibrary(const FilterAction& action) {
  switch (action.kind) {
    case FilterAction::Kind::kAllow:
      return SCMP_ACT_ALLOW;
    case FilterAction::Kind::kErrno:
      return SCMP_ACT_ERRNO(action.error);
    case FilterAction::Kind::kNotify:
      return SCMP_ACT_NOTIFY;
    case FilterAction::Kind::kKill:
      break;
  }
  return SCMP_ACT_KILL_PROCESS;
}

bool IsValid(const FilterAction& action) {
  return action.kind <= FilterAction::Kind::kKill &&
         (action.kind != FilterAction::Kind::kErrno || action.error <= kMaxErrno);
}

bool IsValid(const FilterRule& rule) {
  if (rule.number >= kFirstX32 || !IsValid(rule.action) || rule.args.size() > 6) return false;
  uint32_t seen = 0;
  for (const FilterArgMatch& match : rule.args) {
    if (match.arg > 5 || (seen & (1u << match.arg)) || (match.value & ~match.mask)) return false;
    seen |= 1u << match.arg;
  }
  return true;
}

/// Returns 0 or an errno.
int AddRule(void* context, const FilterInput& input, const FilterRule& rule) {
  if (!IsValid(rule)) return EINVAL;
  if (rule.action == input.fallback) return 0;  // libseccomp refuses a rule that says what happens anyway
  scmp_arg_cmp compares[6];
  for (size_t i = 0; i < rule.args.size(); i++) {
    const FilterArgMatch& match = rule.args[i];
    compares[i] = {match.arg, SCMP_CMP_MASKED_EQ, match.mask, match.value};
  }
  return -seccomp_rule_add_array(context, ToLibrary(rule.action), static_cast<int>(rule.number),
                                 static_cast<unsigned>(rule.args.size()), compares);
}

/// libseccomp does not tell of a program that RLIMIT_FSIZE cut short; then not one byte more can be written either.
int CheckWhole(int fd) {
  if (write(fd, "", 1) != 1) return errno;
  return 0;
}

/// libseccomp 2.5.4 writes to descriptors only. Returns 0 or an errno.
int Export(void* context, std::vector<sock_filter>* program) {
  int fd = memfd_create("qi-filter", MFD_CLOEXEC);
  if (fd < 0) return errno;
  int err = -seccomp_export_bpf(context, fd);
  struct stat info;
  if (err == 0 && fstat(fd, &info) != 0) err = errno;
  if (err == 0) err = CheckWhole(fd);
  if (err == 0) {
    program->resize(static_cast<size_t>(info.st_size) / sizeof(sock_filter));
    ssize_t bytes = static_cast<ssize_t>(program->size() * sizeof(sock_filter));
    if (pread(fd, program->data(), static_cast<size_t>(bytes), 0) != bytes) err = EIO;
  }
  (void)close(fd);  // memory only: nothing can be lost
  return err;
}

uint32_t AuditArch(FilterArch arch) { return arch == FilterArch::kX64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64; }

#if defined(__aarch64__)
constexpr FilterArch kNative = FilterArch::kArm64;
#else
constexpr FilterArch kNative = FilterArch::kX64;
#endif

/// libseccomp translates the numbers of a foreign architecture by name, and so refuses those younger than itself. The
/// program is the same but for the architecture it demands first, so that constant is replaced. The other direction
/// would lack the x32 guard. Returns 0 or an errno.
int Retarget(FilterArch arch, std::vector<sock_filter>* program) {
  if (arch == kNative) return 0;
  if (arch == FilterArch::kX64) return EOPNOTSUPP;
  if (program->size() < 2) return EINVAL;
  sock_filter& load = (*program)[0];
  sock_filter& compare = (*program)[1];
  if (load.code != (BPF_LD | BPF_W | BPF_ABS) || load.k != offsetof(seccomp_data, arch)) return EINVAL;
  if (compare.code != (BPF_JMP | BPF_JEQ | BPF_K) || compare.k != AuditArch(kNative)) return EINVAL;
  compare.k = AuditArch(arch);
  return 0;
}

/// Returns 0 or an errno.
int Compile(const FilterInput& input, std::vector<sock_filter>* program) {
  if (!IsValid(input.fallback)) return EINVAL;
  // What the building kernel supports is no concern of the program: qi-monitor finds out when it installs it.
  if (int rc = seccomp_api_set(kApiLevelWithNotify)) return -rc;
  Context context(seccomp_init(ToLibrary(input.fallback)));
  if (!context) return EINVAL;
  if (int rc = seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)) return -rc;
  if (int rc = seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2)) return -rc;
  // Otherwise every failure of the kernel is ECANCELED, which nobody can look up.
  if (int rc = seccomp_attr_set(context.get(), SCMP_FLTATR_API_SYSRAWRC, 1)) return -rc;
  for (const FilterRule& rule : input.rules) {
    if (int err = AddRule(context.get(), input, rule)) return err;
  }
  if (int err = Export(context.get(), program)) return err;
  if (int err = Retarget(input.arch, program)) return err;
  *program = Shorten(*program);
  return program->size() > BPF_MAXINSNS ? E2BIG : 0;
}

}  // namespace

bool CompileFilter(const FilterInput& input, std::vector<uint8_t>* bpf, int* err) {
  std::vector<sock_filter> program;
  if (int failed = Compile(input, &program)) {
    *err = failed;
    return false;
  }
  bpf->resize(program.size() * sizeof(sock_filter));
  memcpy(bpf->data(), program.data(), bpf->size());
  return true;
}

}  // namespace qi
