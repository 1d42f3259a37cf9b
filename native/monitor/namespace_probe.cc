#include "monitor/namespace_probe.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "core/fd.h"
#include "core/try.h"

namespace qi {
namespace {

constexpr unsigned long kFlags =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP;

int WriteAt(const char* path, const char* text) {
  UniqueFd file(openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC));
  if (!file) return errno;
  return write(file.get(), text, strlen(text)) == static_cast<ssize_t>(strlen(text)) ? 0 : errno;
}

// Of an own id, for which it takes no privilege. user_namespaces(7)
Result WriteMaps(const char* proc, unsigned uid, unsigned gid) {
  char path[64], map[48];
  snprintf(path, sizeof(path), "%s/setgroups", proc);
  if (int error = WriteAt(path, "deny")) return Fail(Step::kMapGroups, error, "setgroups");
  snprintf(path, sizeof(path), "%s/gid_map", proc);
  snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
  if (int error = WriteAt(path, map)) return Fail(Step::kMapGroups, error, "gid_map");
  snprintf(path, sizeof(path), "%s/uid_map", proc);
  snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
  if (int error = WriteAt(path, map)) return Fail(Step::kMapUsers, error, "uid_map");
  return Ok();
}

// What takes the new namespace's capabilities, which AppArmor's restriction takes away, and a /proc of one's own, which
// a container that hides parts of its own does not allow.
Result UseNamespaces(unsigned uid, unsigned gid) {
  if (sethostname("qi-jail", 7) != 0) return Fail(Step::kSetHostname, errno);
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return Fail(Step::kPrivateMounts, errno);
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
    return Fail(Step::kMountProc, errno);
  if (unshare(CLONE_NEWUSER) != 0) return Fail(Step::kNestUserNamespace, errno);
  return WriteMaps("/proc/self", uid, gid);
}

}  // namespace

Result ProbeNamespaces() {
  unsigned uid = geteuid(), gid = getegid();
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return Fail(Step::kOpenChannels, errno);
  UniqueFd mine(fds[0]), theirs(fds[1]);
  auto child = static_cast<pid_t>(syscall(SYS_clone, kFlags | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (child < 0) return Fail(Step::kCloneJail, errno);
  if (child == 0) {
    mine.reset();
    char go;
    Result r = Fail(Step::kAwaitMaps, EPIPE);
    if (read(theirs.get(), &go, 1) == 1) r = UseNamespaces(uid, gid);
    _exit(send(theirs.get(), &r, sizeof(r), MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(r)) ? 0 : 1);
  }
  theirs.reset();
  char proc[32];
  snprintf(proc, sizeof(proc), "/proc/%d", child);
  Result r = WriteMaps(proc, uid, gid);
  if (r.ok() && (send(mine.get(), "", 1, MSG_NOSIGNAL) != 1 ||
                 recv(mine.get(), &r, sizeof(r), 0) != static_cast<ssize_t>(sizeof(r))))
    r = Fail(Step::kCloneJail, ESRCH, "the process in the new namespaces ended");
  mine.reset();  // whatever it waits for, it ends
  (void)RetryEintr([&] { return waitpid(child, nullptr, 0); });
  return r;
}

}  // namespace qi
