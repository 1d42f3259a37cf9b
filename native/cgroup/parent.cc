#include "cgroup/parent.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cstdlib>

#include "cgroup/group_file.h"
#include "core/try.h"

namespace qi {
namespace {

constexpr Step kStep = Step::kOpenCgroupParent;
constexpr long kCgroup2Magic = 0x63677270;  // CGROUP2_SUPER_MAGIC, linux/magic.h
constexpr char kLauncherLeaf[] = "qi-jail-launcher";

struct Controller {
  const char* name;
  bool needed;  // a limit is enforced by nothing else
  bool wanted;  // for counting, or as a second hold
};

// Only those two may be moved: a process that somebody else put there belongs to somebody else.
Result FreeOfProcesses(const Jail& jail, int parent) {
  char text[4096];
  int error = ReadGroupFile(parent, "cgroup.procs", text, sizeof(text));
  if (error == EFBIG) error = EBUSY;
  if (error != 0) return Fail(kStep, error, "cgroup.procs");
  pid_t launcher = static_cast<pid_t>(jail.plan->launcher_pid);
  pid_t ours[2];
  size_t count = 0;
  for (char* line = text; *line != 0; line = NextLine(line)) {
    pid_t pid = static_cast<pid_t>(strtol(line, nullptr, 10));
    if (pid <= 0 || (pid != getpid() && pid != launcher) || count == 2)
      return Fail(kStep, EBUSY, "processes of others are in the group");
    ours[count++] = pid;
  }
  error = MoveToLeaf(parent, kLauncherLeaf, ours, count);
  return error == 0 ? Ok() : Fail(kStep, error, kLauncherLeaf);
}

Result Enable(const Jail& jail, int parent, const Controller& controller) {
  char command[16];
  snprintf(command, sizeof(command), "+%s", controller.name);
  int error = WriteGroupFile(parent, "cgroup.subtree_control", command);
  if (error == EBUSY && controller.needed) {
    QI_TRY(FreeOfProcesses(jail, parent));
    error = WriteGroupFile(parent, "cgroup.subtree_control", command);
  }
  return error == 0 || !controller.needed ? Ok() : Fail(kStep, error, controller.name);
}

}  // namespace

Result OpenGroupParent(const char* mount, const char* path, UniqueFd* dir) {
  size_t length = strcmp(mount, "/") == 0 ? 0 : strlen(mount);
  if (strncmp(path, mount, length) != 0 || (path[length] != '/' && path[length] != 0))
    return Fail(kStep, EINVAL, "not below the mount of cgroup v2");
  dir->reset(openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!*dir) return Fail(kStep, errno, path);
  struct statfs fs;
  if (fstatfs(dir->get(), &fs) != 0) return Fail(kStep, errno, "fstatfs");
  return fs.f_type == kCgroup2Magic ? Ok() : Fail(kStep, ENOTSUP, "not in the cgroup v2 hierarchy");
}

Result EnableControllers(const Jail& jail, int parent, bool ours) {
  const Plan& plan = *jail.plan;
  const Controller controllers[] = {
      {"memory", plan.memory_max != 0 || plan.memory_threshold != 0, ours},
      {"cpu", plan.cpu_quota_us != 0 || plan.cpu_weight != 0, ours},
      {"io", plan.io_limits.count != 0, ours},
      {"pids", false, ours || plan.processes_max != 0},
  };
  char available[256], enabled[256];
  if (int error = ReadGroupFile(parent, "cgroup.controllers", available, sizeof(available)))
    return Fail(kStep, error, "cgroup.controllers");
  if (int error = ReadGroupFile(parent, "cgroup.subtree_control", enabled, sizeof(enabled)))
    return Fail(kStep, error, "cgroup.subtree_control");
  // One at a time: a write that names one which cannot be had enables none of them.
  for (const Controller& controller : controllers) {
    if ((!controller.needed && !controller.wanted) || HasWord(enabled, controller.name)) continue;
    if (HasWord(available, controller.name)) {
      QI_TRY(Enable(jail, parent, controller));
    } else if (controller.needed) {
      return Fail(kStep, ENODEV, controller.name);
    }
  }
  return Ok();
}

int MoveToLeaf(int parent, const char* name, const pid_t* pids, size_t count) {
  if (mkdirat(parent, name, 0755) != 0 && errno != EEXIST) return errno;
  UniqueFd leaf(openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!leaf) return errno;
  for (size_t i = 0; i < count; ++i) {
    char text[16];
    snprintf(text, sizeof(text), "%d", pids[i]);
    if (int error = WriteGroupFile(leaf.get(), "cgroup.procs", text)) return error;
  }
  return 0;
}

}  // namespace qi
