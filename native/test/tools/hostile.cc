// For examples/hostile-server.mjs: `hostile NAME [PATH]` tries one forbidden act by raw system call and prints the name
// of the errno it met, or `OK`. Meant to be run in a jail only.
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "core/errno_names.h"

namespace {

constexpr int kMostChildren = 2000;

long Keyring(const char*) { return syscall(SYS_add_key, "user", "qi-jail-demo", "secret", 6, -3); }
long Bpf(const char*) {
  char attributes[128] = {1};
  return syscall(SYS_bpf, 0, attributes, sizeof(attributes));
}
long IoUring(const char*) {
  io_uring_params params = {};
  return syscall(SYS_io_uring_setup, 1, &params);
}
long Perf(const char*) {
  perf_event_attr attributes = {};
  attributes.size = sizeof(attributes);
  return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}
long Inject(const char*) {
  char key = '\n';
  return ioctl(0, TIOCSTI, &key);
}
long Mount(const char*) { return mount("none", "/tmp", "tmpfs", 0, nullptr); }
long Namespace(const char*) { return unshare(CLONE_NEWUSER | CLONE_NEWNS); }
long Join(const char*) {
  int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -1 : setns(fd, 0);
}
long Trace(const char*) { return ptrace(PTRACE_ATTACH, 1, nullptr, nullptr); }
long ReadMemory(const char*) { return syscall(SYS_process_vm_readv, 1, nullptr, 0, nullptr, 0, 0); }
long FaultHandler(const char*) { return syscall(SYS_userfaultfd, 0); }
long SetUid(const char* path) { return chmod(path, 04755); }
long Device(const char* path) { return mknod(path, S_IFBLK | 0600, 8 << 8); }
long Packet(const char*) { return socket(AF_PACKET, SOCK_RAW, 0); }
long Vsock(const char*) { return socket(AF_VSOCK, SOCK_STREAM, 0); }
long LoadModule(const char*) { return syscall(SYS_init_module, "", 0, ""); }

// Bounded: stops at the first refusal, at kMostChildren, and takes every child along when it ends.
long ForkBomb(const char*) {
  pid_t children[kMostChildren];
  int count = 0;
  int error = 0;
  for (; count < kMostChildren; ++count) {
    children[count] = fork();
    if (children[count] == 0) {
      alarm(20);
      for (;;) pause();
    }
    if (children[count] < 0) {
      error = errno;
      break;
    }
  }
  for (int i = 0; i < count; ++i) kill(children[i], SIGKILL);
  while (wait(nullptr) > 0) continue;
  errno = error;
  return error == 0 ? count : -1;
}

constexpr struct {
  const char* name;
  long (*run)(const char* path);
} kActs[] = {{"add_key", Keyring},
             {"bpf", Bpf},
             {"io_uring", IoUring},
             {"perf", Perf},
             {"tiocsti", Inject},
             {"mount", Mount},
             {"unshare", Namespace},
             {"setns", Join},
             {"ptrace", Trace},
             {"vm_readv", ReadMemory},
             {"userfaultfd", FaultHandler},
             {"setuid", SetUid},
             {"mknod", Device},
             {"packet", Packet},
             {"vsock", Vsock},
             {"module", LoadModule},
             {"fork_bomb", ForkBomb}};

}  // namespace

int main(int argc, char** argv) {
  char host[64] = "";
  (void)gethostname(host, sizeof(host) - 1);
  if (strcmp(host, "qi-jail") != 0) {
    (void)fprintf(stderr, "hostile: this is not a jail; nothing was tried\n");
    return 2;
  }
  for (const auto& act : kActs) {
    if (argc < 2 || strcmp(act.name, argv[1]) != 0) continue;
    errno = 0;
    (void)puts(act.run(argc > 2 ? argv[2] : "") < 0 ? qi::ErrnoName(errno) : "OK");
    return 0;
  }
  return 2;
}
