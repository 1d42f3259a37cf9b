#include "monitor/payload.h"

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <climits>
#include <cstdlib>
#include <cstring>

#include "core/try.h"
#include "core/uapi.h"
#include "monitor/channel.h"
#include "monitor/descendants.h"
#include "monitor/landlock.h"
#include "monitor/paths.h"
#include "monitor/privileges.h"
#include "monitor/raw_directory.h"
#include "monitor/socket_facts.h"

namespace qi {
namespace {

int WriteAt(int dir, const char* path, const char* text) {
  UniqueFd fd(openat(dir, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return errno;
  return WriteAll(fd.get(), text, strlen(text));
}

Result StartSession(const Jail& jail) {
  QI_BEGIN(jail, Step::kNewSession);
  // A session without a controlling terminal: TIOCSTI has nothing to push into (CVE-2017-5226).
  if (setsid() < 0) return Fail(Step::kNewSession, errno);
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    (void)sigaction(signal, &action,
                    nullptr);  // EINVAL for KILL, STOP and libc's own, which have no disposition to reset
  }
  sigset_t none;
  sigemptyset(&none);
  return sigprocmask(SIG_SETMASK, &none, nullptr) == 0 ? Ok() : Fail(Step::kNewSession, errno);
}

Result NestUserNamespace(const Jail& jail, int proc) {
  QI_BEGIN(jail, Step::kNestUserNamespace);
  const Plan& plan = *jail.plan;
  if (unshare(CLONE_NEWUSER) != 0) return Fail(Step::kNestUserNamespace, errno, "unshare");
  char map[64];
  // A process may map its own id without privilege once setgroups is denied. user_namespaces(7)
  if (int error = WriteAt(proc, "self/setgroups", "deny")) return Fail(Step::kNestUserNamespace, error, "setgroups");
  snprintf(map, sizeof(map), "%u %u 1\n", plan.gid_inside, plan.caller_gid);
  if (int error = WriteAt(proc, "self/gid_map", map)) return Fail(Step::kNestUserNamespace, error, "gid_map");
  snprintf(map, sizeof(map), "%u %u 1\n", plan.uid_inside, plan.caller_uid);
  if (int error = WriteAt(proc, "self/uid_map", map)) return Fail(Step::kNestUserNamespace, error, "uid_map");
  QI_BEGIN(jail, Step::kForbidUserNamespaces);
  if (int error = WriteAt(proc, "sys/user/max_user_namespaces", "0")) {
    return Fail(Step::kForbidUserNamespaces, error, "max_user_namespaces");
  }
  char back[16] = {};
  UniqueFd fd(openat(proc, "sys/user/max_user_namespaces", O_RDONLY | O_CLOEXEC));
  if (!fd || read(fd.get(), back, sizeof(back) - 1) <= 0) return Fail(Step::kForbidUserNamespaces, errno, "read back");
  return strcmp(back, "0\n") == 0 ? Ok() : Fail(Step::kForbidUserNamespaces, EPERM, "read back");
}

// Soft and hard, and never above the hard limit that the caller has.
Result SetLimit(uint32_t resource, rlim_t wanted) {
  char name[32];
  snprintf(name, sizeof(name), "resource %u", resource);
  auto which = static_cast<decltype(RLIMIT_CPU)>(resource);
  rlimit now;
  if (getrlimit(which, &now) != 0) return Fail(Step::kSetRlimit, errno, name);
  rlim_t value = wanted < now.rlim_max ? wanted : now.rlim_max;
  rlimit next = {value, value};
  return setrlimit(which, &next) == 0 ? Ok() : Fail(Step::kSetRlimit, errno, name);
}

// Without a user namespace RLIMIT_NPROC counts all of the caller's processes and threads: those that are there already
// do not count for the jail. One that hides from its own user is root's to see, and not counted; our supervisors may
// hide by now, and are.
uint64_t CountTasksOfUser(int proc, pid_t warden) {
  pid_t init = getppid();
  Kin kin;
  pid_t monitor = ReadKin(proc, init, &kin) ? kin.parent : -1;
  UniqueFd dir(openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  RawDirectory names(dir.get());
  uint64_t count = warden > 0 ? 3 : 2;
  while (const char* name = names.Next()) {
    struct stat st;
    char path[300];
    snprintf(path, sizeof(path), "%s/task", name);
    pid_t pid = atoi(name);
    bool ours = pid == getpid() || pid == init || pid == monitor || pid == warden;
    if (pid <= 0 || ours || fstatat(proc, path, &st, 0) != 0 || st.st_uid != geteuid()) continue;
    count += st.st_nlink - 2;  // a folder for each, and its own two
  }
  return count;
}

Result SetLimits(const Jail& jail, int proc, pid_t warden) {
  // After entering the user namespace: RLIMIT_NPROC is then counted per namespace, not with all the caller's processes.
  for (const Rlimit& limit : List(jail.blob, jail.plan->rlimits)) {
    QI_BEGIN(jail, Step::kSetRlimit);
    // One more than pids.max lets through: the kernel asks this limit first, and only the other one is reported.
    bool second = limit.resource == RLIMIT_NPROC && jail.counted_by_cgroup;
    bool shared = limit.resource == RLIMIT_NPROC && jail.Has(kPlanWithoutNamespaces);
    uint64_t others = shared ? CountTasksOfUser(proc, warden) : 0;
    QI_TRY(SetLimit(limit.resource, limit.value + others + (second ? 1 : 0)));
  }
  // Between two looks of the watchdog this is the most that one process gets by heap and private mappings.
  bool watched = jail.plan->memory_max != 0 && !jail.in_cgroup;
  return watched ? SetLimit(RLIMIT_DATA, jail.plan->memory_max) : Ok();
}

Result EnterDirectory(const Jail& jail) {
  QI_BEGIN(jail, Step::kChangeDirectory);
  const char* cwd = jail.Text(jail.plan->cwd);
  UniqueFd dir(OpenPlain(-1, cwd));
  if (!dir || fchdir(dir.get()) != 0) return Fail(Step::kChangeDirectory, errno, cwd);
  // CVE-2024-21626: a working directory outside the root is a way out. getcwd says "(unreachable)" for one.
  char now[PATH_MAX];
  if (syscall(SYS_getcwd, now, sizeof(now)) < 0) return Fail(Step::kChangeDirectory, errno, cwd);
  return now[0] == '/' ? Ok() : Fail(Step::kChangeDirectory, EXDEV, cwd);
}

// A table of descriptors starts with 64 places. To make it larger where threads share it waits for an RCU grace period,
// 6 to 20 ms (expand_fdtable() in fs/file.c), and Node opens a hundred files by four threads at each start. Alone, as
// here, it waits for nobody; execve keeps the table. Who cannot have as many goes without.
void MakeRoomForDescriptors() {
  constexpr int kLast = 255;
  UniqueFd far(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, kLast));
}

Result CloseAtExec(const Jail& jail, int proc) {
  QI_BEGIN(jail, Step::kCloseOnExec);
  if (uapi::CloseRange(3, ~0u, CLOSE_RANGE_CLOEXEC) == 0) return Ok();
  if (errno != ENOSYS && errno != EINVAL) return Fail(Step::kCloseOnExec, errno);
  UniqueFd list(openat(proc, "self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* dir = list ? fdopendir(list.get()) : nullptr;
  if (dir == nullptr) return Fail(Step::kCloseOnExec, errno, "/proc/self/fd");
  (void)list.release();  // fdopendir owns it
  while (dirent* entry = readdir(dir)) {
    int fd = atoi(entry->d_name);
    if (fd > 2 && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return Fail(Step::kCloseOnExec, errno, entry->d_name);
  }
  (void)closedir(dir);
  return Ok();
}

// The pointers that execve takes, into the plan's texts.
class PointerArray {
 public:
  PointerArray(const Jail& jail, const PlanList<PlanString>& list)
      : pointers_(static_cast<char**>(calloc(list.count + 1, sizeof(char*)))) {
    size_t i = 0;
    for (const PlanString& s : List(jail.blob, list)) {
      if (pointers_ != nullptr) pointers_[i++] = const_cast<char*>(jail.Text(s));
    }
  }
  ~PointerArray() { free(pointers_); }
  PointerArray(const PointerArray&) = delete;
  PointerArray& operator=(const PointerArray&) = delete;

  char** get() const { return pointers_; }

 private:
  char** pointers_;
};

Result Send(Step step, int status, StatusType type, int fd = -1, uint64_t network = 0) {
  StatusMessage message = {};
  message.type = type;
  message.network = network;
  int error = SendMessage(status, &message, sizeof(message), &fd, fd >= 0 ? 1 : 0);
  return error == 0 ? Ok() : Fail(step, error);
}

}  // namespace

// The straight line of DESIGN's layers; the order is the point.
Result RunPayload(const Jail& jail, int status, int proc, pid_t warden) {
  QI_TRY(StartSession(jail));
  // Dumpable while /proc/self belongs to this user (a set-uid change made it root's), until exec sets it anew.
  if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) return Fail(Step::kNewSession, errno, "dumpable");
  QI_TRY(Send(Step::kNewSession, status, StatusType::kPayload, -1, NetworkHere()));
  if (!jail.Has(kPlanWithoutNamespaces)) QI_TRY(NestUserNamespace(jail, proc));
  QI_TRY(SetLimits(jail, proc, warden));
  QI_TRY(EnterDirectory(jail));
  QI_TRY(DropCapabilities(jail, Step::kDropCapabilities, Step::kVerifyCapabilities));
  QI_TRY(SetNoNewPrivs(jail, Step::kNoNewPrivs));
  PointerArray argv(jail, jail.plan->argv);
  PointerArray envp(jail, jail.plan->envp);
  if (argv.get() == nullptr || envp.get() == nullptr) return Fail(Step::kExec, ENOMEM);
  MakeRoomForDescriptors();
  QI_TRY(CloseAtExec(jail, proc));
  QI_TRY(RestrictWithLandlock(jail));
  int listener = -1;
  QI_TRY(Send(Step::kInstallFilter, status, StatusType::kFiltering));
  QI_TRY(InstallFilter(jail, Step::kInstallFilter, jail.plan->payload_filter, &listener));
  QI_BEGIN(jail, Step::kPassListener);
  QI_TRY(Send(Step::kPassListener, status, StatusType::kListener, listener));
  (void)close(listener);
  char ready;
  if (RetryEintr([&] { return recv(status, &ready, 1, 0); }) != 1) return Fail(Step::kPassListener, EPIPE);
  QI_BEGIN(jail, Step::kExec);
  execve(jail.Text(jail.plan->exec_path), argv.get(), envp.get());
  return Fail(Step::kExec, errno, jail.Text(jail.plan->exec_path));
}

}  // namespace qi
