#include "core/plan.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <initializer_list>

#include "core/path_pattern.h"

namespace qi {
namespace {

bool IsAbsolute(const PlanBlob& blob, const PlanString& s) { return s.length > 0 && blob.data[s.offset] == '/'; }

// A target is walked one component at a time without following links; dot segments would step out of that.
bool IsPlainPath(const PlanBlob& blob, const PlanString& s) {
  if (!IsAbsolute(blob, s)) return false;
  const char* p = Str(blob, s);
  while (*p != 0) {
    const char* start = ++p;
    while (*p != 0 && *p != '/') ++p;
    size_t n = static_cast<size_t>(p - start);
    if (n == 0 && *p != 0) return false;
    if (n == 1 && start[0] == '.') return false;
    if (n == 2 && start[0] == '.' && start[1] == '.') return false;
  }
  return true;
}

constexpr size_t kMaxRelays = 128;

// The rule lines are checked by qi-monitor as it takes them in (network/rules.h).
const char* FindNetworkFault(const PlanBlob& blob, const Plan& plan) {
  bool allow_list = (plan.flags & kPlanAllowListNetwork) != 0;
  if (allow_list && (plan.flags & kPlanShareHostNetwork) != 0) return "a shared network has no allow-list";
  const PlanBytes& filter = plan.gateway_filter;
  if (filter.length % 8 != 0 || filter.length / 8 > 4096 || (filter.length == 0) == allow_list) return "filter length";
  if (plan.relays.count > (allow_list ? kMaxRelays : 0)) return "relays";
  for (const Relay& relay : List(blob, plan.relays)) {
    if (relay.port < 1 || relay.port > 65535) return "relay port";
  }
  return nullptr;
}

const char* FindCgroupFault(const PlanBlob& blob, const Plan& plan) {
  bool subtree = (plan.flags & kPlanCgroupSubtree) != 0;
  bool scope = (plan.flags & kPlanCgroupScope) != 0;
  if (subtree && scope) return "two sources of the cgroup";
  if ((subtree || scope) && !IsPlainPath(blob, plan.cgroup_mount)) return "cgroupMount is not a plain absolute path";
  if (subtree && !IsPlainPath(blob, plan.cgroup_parent)) return "cgroupParent is not a plain absolute path";
  if (scope && !IsPlainPath(blob, plan.bus_socket)) return "busSocket is not a plain absolute path";
  bool keeper = subtree || ((plan.flags & kPlanPrivileged) != 0 && plan.foreground.count > 0);
  const PlanBytes& filter = plan.keeper_filter;
  if (filter.length % 8 != 0 || filter.length / 8 > 4096 || (filter.length == 0) == keeper) return "filter length";
  if (plan.cpu_weight > 10000) return "cpuWeight";
  bool needs_cgroup = plan.cpu_quota_us != 0 || plan.cpu_weight != 0 || plan.io_limits.count != 0;
  return needs_cgroup && !subtree && !scope ? "limits that need a cgroup" : nullptr;
}

// The first rule that is around a path is the innermost, and there is always one.
const char* FindFileRuleFault(const PlanBlob& blob, const Plan& plan) {
  for (const ObservedCase& one : List(blob, plan.observed_cases)) {
    if (one.argument > 5) return "argument of an observed call";
  }
  uint32_t previous = UINT32_MAX;
  for (const FileRule& rule : List(blob, plan.file_rules)) {
    if (!IsPlainPath(blob, rule.path)) return "file rule is not about a plain absolute path";
    if (rule.path.length > previous) return "file rules are not the longest first";
    previous = rule.path.length;
  }
  bool observes = (plan.flags & kPlanObserveFiles) != 0;
  return observes != (previous == 1) ? "file rules without one about /" : nullptr;
}

constexpr size_t kMaxPatterns = 256;

const char* FindPatternFault(const PlanBlob& blob, const Plan& plan) {
  bool mediates = (plan.flags & kPlanMediate) != 0;
  if (mediates != (plan.path_patterns.count > 0) || mediates != (plan.mediated_grants.count > 0)) return "mediation";
  if (plan.path_patterns.count > kMaxPatterns) return "number of patterns";
  for (const PathPattern& pattern : List(blob, plan.path_patterns)) {
    if (!IsPlainPath(blob, pattern.base)) return "base of a pattern is not a plain absolute path";
    Span<uint8_t> bytes = Bytes(blob, pattern.program);
    if (!IsPattern({bytes.data, bytes.size})) return "pattern";
  }
  for (const PlanString& grant : List(blob, plan.mediated_grants)) {
    if (!IsPlainPath(blob, grant)) return "mediated grant is not a plain absolute path";
  }
  return nullptr;
}

const char* FindForegroundFault(const PlanBlob& blob, const Plan& plan) {
  bool control = (plan.flags & kPlanControl) != 0;
  if (plan.foreground.count > (control ? 0 : 1)) return "a run without a host has one";
  for (const ForegroundPlan& one : List(blob, plan.foreground)) {
    // A file name of its own, src/launch/ctl-server.ts.
    const char* id = Str(blob, one.id);
    if (one.id.length > 64 || id[0] == '.' || memchr(id, '/', one.id.length) != nullptr) return "id of the jail";
    for (const PlanString& folder : List(blob, one.control_folders)) {
      if (!IsPlainPath(blob, folder)) return "control folder is not a plain absolute path";
    }
  }
  return nullptr;
}

const char* FindFault(const PlanBlob& blob, const Plan& plan) {
  if (plan.argv.count == 0) return "argv is empty";
  if (!IsAbsolute(blob, plan.exec_path)) return "execPath is not absolute";
  if (!IsPlainPath(blob, plan.cwd)) return "cwd is not a plain absolute path";
  for (const MountOp& op : List(blob, plan.mounts)) {
    if (!IsPlainPath(blob, op.target)) return "mount target is not a plain absolute path";
    if (op.kind == MountKind::kBind || op.kind == MountKind::kDevice || op.kind == MountKind::kMask) {
      if (!IsPlainPath(blob, op.source)) return "mount source is not a plain absolute path";
    }
  }
  for (const LandlockRule& rule : List(blob, plan.landlock_rules)) {
    if (!IsPlainPath(blob, rule.path)) return "Landlock path is not a plain absolute path";
  }
  uint32_t previous = 0;
  bool first = true;
  for (const SyscallRule& rule : List(blob, plan.syscalls)) {
    if (!first && rule.number <= previous) return "syscall rules are not ascending";
    previous = rule.number;
    first = false;
  }
  for (const PlanBytes& filter : {plan.payload_filter, plan.init_filter, plan.monitor_filter}) {
    // struct sock_filter is 8 bytes; BPF_MAXINSNS is 4096 (linux/bpf_common.h).
    if (filter.length == 0 || filter.length % 8 != 0 || filter.length / 8 > 4096) return "filter length";
  }
  for (const PlanBytes& filter : {plan.table_filter, plan.imported_filter}) {
    if (filter.length % 8 != 0 || filter.length / 8 > 4096) return "filter length";
  }
  if ((plan.table_filter.length == 0) != (plan.imported_filter.length == 0)) return "half of an imported profile";
  if (const char* fault = FindForegroundFault(blob, plan)) return fault;
  if (const char* fault = FindCgroupFault(blob, plan)) return fault;
  if (const char* fault = FindFileRuleFault(blob, plan)) return fault;
  if (const char* fault = FindPatternFault(blob, plan)) return fault;
  return FindNetworkFault(blob, plan);
}

}  // namespace

Result CheckPlan(const uint8_t* data, size_t size, PlanBlob* blob) {
  if (size < sizeof(Plan) || size > kPlanMaxBytes) return Fail(Step::kCheckPlan, EINVAL, "plan length");
  *blob = PlanBlob{data, size, size * 4};
  const Plan& plan = PlanOf(*blob);
  if (plan.magic != kPlanMagic) return Fail(Step::kCheckPlan, EINVAL, "plan magic");
  if (plan.version != kPlanVersion) return Fail(Step::kCheckPlan, EPROTO, "plan version");
  if (plan.size != size) return Fail(Step::kCheckPlan, EINVAL, "plan size field");
  if (!CheckRefs(*blob, plan)) return Fail(Step::kCheckPlan, EINVAL, "a reference points outside the plan");
  if (const char* fault = FindFault(*blob, plan)) return Fail(Step::kCheckPlan, EINVAL, fault);
  return Ok();
}

Result ReadPlan(int fd, PlanBlob* blob) {
  int seals = fcntl(fd, F_GET_SEALS);
  constexpr int kNeeded = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
  if (seals < 0) return Fail(Step::kReadPlan, errno, "fd 3 is not a plan");
  if ((seals & kNeeded) != kNeeded) return Fail(Step::kReadPlan, EPERM, "plan is not sealed");
  struct stat st;
  if (fstat(fd, &st) != 0) return Fail(Step::kReadPlan, errno, "fstat");
  if (st.st_size <= 0 || st.st_size > static_cast<off_t>(kPlanMaxBytes)) {
    return Fail(Step::kReadPlan, EFBIG, "plan length");
  }
  size_t size = static_cast<size_t>(st.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return Fail(Step::kReadPlan, errno, "mmap");
  return CheckPlan(static_cast<const uint8_t*>(data), size, blob);
}

}  // namespace qi
