#include "core/spawn.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <csignal>

#include "core/plan.gen.h"
#include "core/uapi.h"

namespace qi {
namespace {

constexpr int kChildFds = kAuditFd + 1;

// What the child needs, all of it made before the clone: between clone and exec it shares our memory, so it must not
// allocate, lock or call into libc's state.
struct ChildArguments {
  int fds[kChildFds];  // source of each of its descriptors, -1: leave closed
  const char* path;
  char* const argv[2];
  char* const* envp;
  sigset_t* mask;
  int error;
};

int RunChild(void* raw) {
  auto* child = static_cast<ChildArguments*>(raw);
  // First out of the way of 0 to 5, then into place: a source may sit on another's target.
  int moved[kChildFds];
  for (int i = 0; i < kChildFds; ++i) {
    moved[i] = child->fds[i] < 0 ? -1 : fcntl(child->fds[i], F_DUPFD_CLOEXEC, kChildFds);
    if (child->fds[i] >= 0 && moved[i] < 0) {
      child->error = errno;
      _exit(125);
    }
  }
  for (int i = 0; i < kChildFds; ++i) {
    if (moved[i] >= 0 && dup2(moved[i], i) < 0) {
      child->error = errno;
      _exit(125);
    }
  }
  // Handlers belong to the parent's program text; the exec resets them, and until then nothing may run one.
  (void)setsid();  // fails only for a group leader, which a fresh child is not
  (void)uapi::CloseRange(kChildFds, ~0u, CLOSE_RANGE_CLOEXEC);  // ENOSYS: pid 1 closes them all the same
  (void)pthread_sigmask(SIG_SETMASK, child->mask, nullptr);
  execve(child->path, child->argv, child->envp);
  child->error = errno;
  _exit(125);
}

// Descriptors that something else of this process sits on, moved away and, if need be, back.
class Replaced {
 public:
  // `source` gets the number `target`.
  bool Replace(int target, int source) {
    int saved = fcntl(target, F_DUPFD_CLOEXEC, kChildFds);
    if (saved < 0 && errno != EBADF) return false;
    targets_[count_] = target;
    flags_[count_] = saved < 0 ? 0 : fcntl(target, F_GETFD);
    saved_[count_++].reset(saved);
    return dup2(source, target) >= 0;
  }
  void Undo() {
    while (count_ > 0) {
      UniqueFd& saved = saved_[--count_];
      int target = targets_[count_];
      (void)(saved ? dup3(saved.get(), target, (flags_[count_] & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0) : close(target));
    }
  }

 private:
  int targets_[kChildFds];
  int flags_[kChildFds];
  UniqueFd saved_[kChildFds];
  size_t count_ = 0;
};

bool HasChildren() {
  siginfo_t info;
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

// Out of the way of 0 to 5, where it is to go.
UniqueFd Above(int fd) { return UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, kChildFds)); }

bool MakePipe(int index, int* theirs, UniqueFd* ours) {
  int pair[2];
  if (pipe2(pair, O_CLOEXEC) != 0) return false;
  bool payload_reads = index == 0;
  *theirs = pair[payload_reads ? 0 : 1];
  ours->reset(pair[payload_reads ? 1 : 0]);
  return true;
}

}  // namespace

int SealPlan(const uint8_t* data, size_t size) {
  UniqueFd fd(memfd_create("qi-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
  if (!fd && errno == EINVAL) fd.reset(memfd_create("qi-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING));  // before 6.3
  if (!fd) return -1;
  if (int error = WriteAll(fd.get(), data, size)) {
    errno = error;
    return -1;
  }
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return -1;
  return fd.release();
}

int SpawnMonitor(const SpawnRequest& request, Spawned* spawned, const char** what) {
  *what = "memfd_create";
  UniqueFd plan(SealPlan(request.plan, request.plan_size));
  if (!plan) return errno;
  *what = "socketpair";
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return errno;
  spawned->control.reset(pair[0]);
  UniqueFd control_theirs(pair[1]);
  *what = "open /dev/null";
  UniqueFd null(openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return errno;
  UniqueFd theirs[3];
  sigset_t all, before;
  sigfillset(&all);
  sigset_t none;
  sigemptyset(&none);
  static char name[] = "qi-monitor";
  static char* const kNoEnvironment[] = {nullptr};
  ChildArguments child = {
      {-1, -1, -1, plan.get(), control_theirs.get(), request.audit},
      request.monitor,
      {name, nullptr},
      request.environment != nullptr ? const_cast<char* const*>(request.environment) : kNoEnvironment,
      &none,
      0};
  *what = "pipe2";
  for (int i = 0; i < 3; ++i) {
    child.fds[i] = request.stdio[i] >= 0 ? request.stdio[i] : null.get();
    if (request.stdio[i] != kStreamPipe) continue;
    int fd = -1;
    if (!MakePipe(i, &fd, &spawned->pipes[i])) return errno;
    theirs[i].reset(fd);
    child.fds[i] = fd;
  }
  *what = "clone";
  constexpr size_t kStack = 64 * 1024;
  void* stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return errno;
  // A handler of ours must not run in the child, on shared memory.
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  pid_t pid = clone(RunChild, static_cast<char*>(stack) + kStack, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
                    &child, &pidfd);
  int clone_error = errno;
  (void)pthread_sigmask(SIG_SETMASK, &before, nullptr);
  (void)munmap(stack, kStack);
  if (pid < 0) return clone_error;
  spawned->pidfd.reset(pidfd);
  if (child.error != 0) {
    *what = "execve";
    (void)RetryEintr([&] { return waitpid(pid, nullptr, 0); });
    return child.error;
  }
  spawned->pid = pid;
  return 0;
}

int BecomeMonitor(const SpawnRequest& request, char* const* argv, const char** what) {
  *what = "waitid";
  if (HasChildren()) return EBUSY;
  *what = "memfd_create";
  UniqueFd plan(SealPlan(request.plan, request.plan_size));
  if (!plan) return errno;
  *what = "open /dev/null";
  UniqueFd null(openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return errno;
  *what = "dup";
  UniqueFd sources[] = {Above(plan.get()), Above(null.get()), Above(request.audit < 0 ? null.get() : request.audit)};
  sigset_t all, before;
  sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  Replaced replaced;
  int error = 0;
  for (int i = 0; i < 3 && error == 0; ++i) {
    if (!sources[i] || !replaced.Replace(kPlanFd + i, sources[i].get())) error = errno;
  }
  if (error == 0) {
    *what = "execve";
    for (int fd = 0; fd < kPlanFd; ++fd) (void)fcntl(fd, F_SETFD, 0);  // Node marks whatever it inherits close-on-exec
    (void)uapi::CloseRange(kChildFds, ~0u, CLOSE_RANGE_CLOEXEC);       // ENOSYS: pid 1 closes them all the same
    execve(request.monitor, argv, environ);
    error = errno;
  }
  for (int fd = 0; fd < kPlanFd; ++fd) (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
  replaced.Undo();
  (void)pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return error;
}

}  // namespace qi
