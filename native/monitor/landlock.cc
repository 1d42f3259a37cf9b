#include "monitor/landlock.h"

#include <sys/stat.h>

#include "core/fd.h"
#include "core/try.h"
#include "core/uapi.h"
#include "monitor/paths.h"

namespace qi {
namespace {

constexpr uint64_t kWriteFile = 1ULL << 1, kReadFile = 1ULL << 2, kTruncate = 1ULL << 14, kIoctlDev = 1ULL << 15;

// 0 or an errno. Rights that only a directory can have are left out for a file (EINVAL otherwise).
int AddRule(int ruleset, int fd, uint64_t access) {
  struct stat st;
  if (fstat(fd, &st) != 0) return errno;
  if (!S_ISDIR(st.st_mode)) access &= ~uapi::kLandlockFsDirectoryOnly;
  if (access == 0) return 0;
  uapi::LandlockPathBeneathAttr beneath = {access, fd};
  long result = syscall(uapi::kLandlockAddRule, ruleset, uapi::kLandlockRulePathBeneath, &beneath, 0);
  return result == 0 ? 0 : errno;
}

Result AddPlanRules(const Jail& jail, int ruleset) {
  for (const LandlockRule& rule : List(jail.blob, jail.plan->landlock_rules)) {
    QI_BEGIN(jail, Step::kLandlockRule);
    const char* path = jail.Text(rule.path);
    UniqueFd at(OpenPlain(-1, path));
    if (!at && errno == ENOENT) continue;  // an optional grant that is not there: no rule, so no right
    int error = at ? AddRule(ruleset, at.get(), rule.access & jail.plan->landlock_fs) : errno;
    if (error != 0) return Fail(Step::kLandlockRule, error, path);
  }
  return Ok();
}

// `> /dev/stderr` opens anew what the host gave as a stream, a file or terminal outside the root: as much as the stream
// itself allows, and no more (a log opened for writing cannot be read).
Result AddStreamRules(const Jail& jail, int ruleset) {
  for (int fd = 0; fd < 3; ++fd) {
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &st) != 0) return Fail(Step::kLandlockRule, errno, "standard stream");
    if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) continue;  // pipes and sockets are nobody's files
    // Opened anew, a log that may only be appended to could be cut or written over, and Landlock cannot say "append".
    if (S_ISREG(st.st_mode) && (flags & O_APPEND) != 0) continue;
    int mode = flags & O_ACCMODE;
    uint64_t access = (mode != O_WRONLY ? kReadFile : 0) | (mode != O_RDONLY ? kWriteFile | kTruncate : 0);
    if (S_ISCHR(st.st_mode)) access |= kIoctlDev;
    int error = AddRule(ruleset, fd, access & jail.plan->landlock_fs);
    // EBADFD: a memfd and the like, on a mount of the kernel's own, which Landlock leaves alone.
    if (error != 0 && error != EBADFD) return Fail(Step::kLandlockRule, error, "standard stream");
  }
  return Ok();
}

}  // namespace

Result RestrictWithLandlock(const Jail& jail) {
  const Plan& plan = *jail.plan;
  if ((plan.landlock_fs | plan.landlock_net | plan.landlock_scope) == 0) return Ok();
  QI_BEGIN(jail, Step::kLandlockRuleset);
  uapi::LandlockRulesetAttr attr = {plan.landlock_fs, plan.landlock_net, plan.landlock_scope};
  // An older kernel takes a shorter struct only if what it does not know is left out.
  size_t size = plan.landlock_scope != 0 ? 24 : plan.landlock_net != 0 ? 16 : 8;
  UniqueFd ruleset(static_cast<int>(syscall(uapi::kLandlockCreateRuleset, &attr, size, 0)));
  if (!ruleset) {
    bool none = errno == ENOSYS || errno == EOPNOTSUPP;
    return none && jail.Has(kPlanLandlockOptional) ? Ok() : Fail(Step::kLandlockRuleset, errno);
  }
  QI_TRY(AddPlanRules(jail, ruleset.get()));
  QI_TRY(AddStreamRules(jail, ruleset.get()));
  QI_BEGIN(jail, Step::kLandlockRestrict);
  if (syscall(uapi::kLandlockRestrictSelf, ruleset.get(), 0) != 0) return Fail(Step::kLandlockRestrict, errno);
  return Ok();
}

}  // namespace qi
