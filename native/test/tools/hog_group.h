// Every write that could take a process out of its group or lift a limit. One line each: its name, and `OK` or an
// errno.
#pragma once
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/uapi.h"
#include "hog_report.h"

namespace hog {

inline void Tell(const char* name, long result) { Say("%s %s", name, result < 0 ? qi::ErrnoName(errno) : "OK"); }

inline long WriteTo(const char* path, const char* text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t n = write(fd, text, strlen(text));
  int error = errno;
  (void)close(fd);
  errno = error;
  return n;
}

inline long Raise(int resource, pid_t pid) {
  rlimit now = {};
  if (prlimit(pid, static_cast<__rlimit_resource>(resource), nullptr, &now) != 0) return -1;
  // What is unlimited already is nobody's limit.
  if (now.rlim_max == RLIM_INFINITY) return errno = EEXIST, -1;
  rlimit next = {RLIM_INFINITY, RLIM_INFINITY};
  if (resource == RLIMIT_NOFILE) next = {now.rlim_max + 1, now.rlim_max + 1};
  return prlimit(pid, static_cast<__rlimit_resource>(resource), &next, nullptr);
}

// clone3 with a directory as the group to be born in.
inline long CloneInto(const char* path) {
  struct {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
  } arguments = {};
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  arguments.flags = 0x200000000ull;
  arguments.exit_signal = 17;
  arguments.cgroup = static_cast<uint64_t>(fd);
  long pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (pid == 0) _exit(0);
  int error = errno;
  (void)close(fd);
  errno = error;
  return pid;
}

inline void MountGroups() {
  (void)mkdir("/tmp/hog-cg", 0700);
  long mounted = mount("none", "/tmp/hog-cg", "cgroup2", 0, nullptr);
  Tell("mount cgroup2", mounted);
  if (mounted == 0) (void)umount2("/tmp/hog-cg", MNT_DETACH);
  mounted = mount("none", "/tmp/hog-cg", "cgroup", 0, "memory");
  Tell("mount cgroup", mounted);
  if (mounted == 0) (void)umount2("/tmp/hog-cg", MNT_DETACH);
  (void)rmdir("/tmp/hog-cg");
  Tell("fsopen cgroup2", syscall(SYS_fsopen, "cgroup2", 0));
}

inline void WriteGroups() {
  static const char* const kFiles[] = {"cgroup.procs", "memory.max", "pids.max", "cgroup.kill", "cgroup.freeze"};
  for (const char* file : kFiles) {
    char path[64], name[64];
    snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", file);
    snprintf(name, sizeof(name), "write %s", file);
    Tell(name, WriteTo(path, "0"));
  }
  Tell("list cgroups", open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Tell("make cgroup", mkdir("/sys/fs/cgroup/hog", 0700));
  Tell("clone into /", CloneInto("/"));
  Tell("clone into /sys/fs/cgroup", CloneInto("/sys/fs/cgroup"));
}

inline void NewNamespaces() {
  Tell("unshare cgroup", unshare(CLONE_NEWCGROUP));
  Tell("unshare user", unshare(CLONE_NEWUSER));
  int fd = open("/proc/1/ns/cgroup", O_RDONLY | O_CLOEXEC);
  Tell("setns cgroup", fd < 0 ? -1 : setns(fd, CLONE_NEWCGROUP));
}

inline void RaiseLimits() {
  static constexpr struct {
    const char* name;
    int resource;
  } kLimits[] = {{"NPROC", RLIMIT_NPROC},
                 {"NOFILE", RLIMIT_NOFILE},
                 {"FSIZE", RLIMIT_FSIZE},
                 {"DATA", RLIMIT_DATA},
                 {"CORE", RLIMIT_CORE}};
  for (const auto& limit : kLimits) {
    char name[32];
    snprintf(name, sizeof(name), "raise %s", limit.name);
    Tell(name, Raise(limit.resource, 0));
  }
  Tell("raise NPROC of 1", Raise(RLIMIT_NPROC, 1));
}

inline void Priorities() {
  sched_param first = {};
  first.sched_priority = 1;
  Tell("SCHED_FIFO", sched_setscheduler(0, SCHED_FIFO, &first));
  Tell("nice -20", setpriority(PRIO_PROCESS, 0, -20));
  Tell("nice of 1", setpriority(PRIO_PROCESS, 1, -20));
  Tell("oom_score_adj", WriteTo("/proc/self/oom_score_adj", "-1000"));
  Tell("oom_adj", WriteTo("/proc/self/oom_adj", "-17"));
  Tell("autogroup", WriteTo("/proc/self/autogroup", "-20"));
  Tell("pid_max", WriteTo("/proc/sys/kernel/pid_max", "4194304"));
  Tell("max_user_namespaces", WriteTo("/proc/sys/user/max_user_namespaces", "100"));
  Tell("overcommit", WriteTo("/proc/sys/vm/overcommit_memory", "1"));
}

inline int Escape() {
  char text[1000] = {};
  int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
  for (char* c = text; *c != '\0'; ++c)
    if (*c == '\n') *c = ' ';
  Say("group %s", n < 0 ? qi::ErrnoName(errno) : text);
  Tell("write /proc/self/cgroup", WriteTo("/proc/self/cgroup", "0::/"));
  WriteGroups();
  RaiseLimits();
  Priorities();
  MountGroups();
  NewNamespaces();
  return 0;
}

}  // namespace hog
