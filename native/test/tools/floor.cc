// The floor of a launch: the same namespaces, a tmpfs root with /usr in it and an exec, and no policy at all. What is
// above this in a benchmark is ours; what is below nobody can have. `floor [--wait] CMD ARGS…`; with `--wait` the
// command waits, past everything else, for a byte on descriptor 3, after it wrote one there.
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>

#include "core/fd.h"
#include "core/uapi.h"

namespace {

constexpr int kAsker = 3;

void Wait() {
  char byte = 0;
  if (fcntl(kAsker, F_SETFD, FD_CLOEXEC) != 0 || write(kAsker, &byte, 1) != 1 || read(kAsker, &byte, 1) != 1)
    _exit(126);
}

int WriteFile(const char* path, const char* text) {
  qi::UniqueFd fd(open(path, O_WRONLY | O_CLOEXEC));
  return fd ? qi::WriteAll(fd.get(), text, strlen(text)) : errno;
}

int RunInside(int go, bool wait, char** argv) {
  char byte;
  if (read(go, &byte, 1) != 1) return 1;
  (void)close(go);
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 2;
  if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") != 0) return 3;
  if (mkdir("/tmp/usr", 0755) != 0 || mount("/usr", "/tmp/usr", nullptr, MS_BIND | MS_REC, nullptr) != 0) return 4;
  for (const char* name : {"bin", "lib", "lib64"}) {
    char target[32], link[32];
    snprintf(target, sizeof(target), "usr/%s", name);
    snprintf(link, sizeof(link), "/tmp/%s", name);
    if (symlink(target, link) != 0) return 5;
  }
  if (mkdir("/tmp/proc", 0755) != 0 || mount("proc", "/tmp/proc", "proc", 0, nullptr) != 0) return 6;
  if (chdir("/tmp") != 0 || syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0) return 7;
  pid_t pid = fork();
  if (pid == 0) {
    if (wait) Wait();
    execv(argv[0], argv);
    _exit(127);
  }
  int status = 0;
  (void)waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 8;
}

int WriteMaps(long pid) {
  char path[64], map[64];
  snprintf(path, sizeof(path), "/proc/%ld/setgroups", pid);
  if (WriteFile(path, "deny") != 0) return 11;
  snprintf(path, sizeof(path), "/proc/%ld/gid_map", pid);
  snprintf(map, sizeof(map), "0 %u 1\n", getgid());
  if (WriteFile(path, map) != 0) return 12;
  snprintf(path, sizeof(path), "/proc/%ld/uid_map", pid);
  snprintf(map, sizeof(map), "0 %u 1\n", getuid());
  return WriteFile(path, map) != 0 ? 13 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  bool wait = argc > 1 && strcmp(argv[1], "--wait") == 0;
  char** command = argv + (wait ? 2 : 1);
  if (command[0] == nullptr) return 64;
  int pair[2];
  if (pipe2(pair, O_CLOEXEC) != 0) return 9;
  qi::uapi::CloneArgs args = {};
  args.flags =
      CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNET;
  args.exit_signal = SIGCHLD;
  long pid = syscall(qi::uapi::kClone3, &args, sizeof(args));
  if (pid < 0) return 10;
  if (pid == 0) _exit(RunInside(pair[0], wait, command));
  if (int error = WriteMaps(pid)) return error;
  if (write(pair[1], "", 1) != 1) return 14;
  int status = 0;
  (void)waitpid(static_cast<pid_t>(pid), &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 15;
}
