// Test tool: payloads that misbehave in one way each. `victim WHAT [N] [MARKER]`; the marker is only for finding it in
// /proc.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace {

void Sleep(int milliseconds) { usleep(static_cast<useconds_t>(milliseconds) * 1000); }

[[noreturn]] void PauseForever() {
  for (;;) pause();
}

void Say(const char* text) {
  printf("%s\n", text);
  fflush(stdout);
}

// Zombies that this process can see: none can be its own children, all of which it has waited for.
int CountZombies() {
  int zombies = 0;
  DIR* proc = opendir("/proc");
  while (dirent* entry = proc != nullptr ? readdir(proc) : nullptr) {
    char path[300], text[256] = {};
    snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
    int fd = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? open(path, O_RDONLY) : -1;
    if (fd < 0) continue;
    if (read(fd, text, sizeof(text) - 1) > 0) zombies += strstr(text, ") Z ") != nullptr;
    close(fd);
  }
  if (proc != nullptr) closedir(proc);
  return zombies;
}

// Orphans by the hundred: each child leaves one grandchild behind, which pid 1 has to reap.
int Storm(int count) {
  for (int i = 0; i < count; ++i) {
    pid_t child = fork();
    if (child == 0) _exit(fork() < 0 ? 1 : 0);
    if (child < 0) return 1;
    waitpid(child, nullptr, 0);
  }
  int zombies = CountZombies();
  for (int i = 0; i < 300 && zombies > 0; ++i, zombies = CountZombies()) Sleep(10);
  printf("zombies %d\n", zombies);
  return 0;
}

int Daemonize() {
  if (fork() == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    for (int fd = 0; fd < 3; ++fd) close(fd);
    PauseForever();
  }
  wait(nullptr);
  Say("daemonized");
  return 0;
}

int IgnoreTerm() {
  signal(SIGTERM, SIG_IGN);
  Say("ready");
  PauseForever();
}

int CloseOutput() {
  Say("last words");
  close(STDOUT_FILENO);
  Sleep(400);
  fprintf(stderr, "still here\n");
  return 3;
}

int Flood(int count, bool distinct) {
  int refused = 0;
  for (int i = 0; i < count; ++i) {
    char target[32];
    snprintf(target, sizeof(target), "/tmp/%d", distinct ? i : 0);
    refused += mount("none", target, "tmpfs", 0, nullptr) != 0 && errno == EPERM;
  }
  printf("refused %d\n", refused);
  return 0;
}

// Pointers that lie: to nothing, to the last bytes before nothing, to a page that is not readable, past the address
// space.
int Lie() {
  long page = sysconf(_SC_PAGESIZE);
  auto* edge = static_cast<char*>(
      mmap(nullptr, static_cast<size_t>(2 * page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  munmap(edge + page, static_cast<size_t>(page));
  auto* dark =
      static_cast<char*>(mmap(nullptr, static_cast<size_t>(page), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  memset(edge, 'x', static_cast<size_t>(page));
  char* pointers[] = {nullptr, reinterpret_cast<char*>(8), edge + page - 3, dark, reinterpret_cast<char*>(~0ul - 7)};
  int refused = 0;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  for (char* p : pointers) {
    refused += syscall(SYS_mount, p, p, p, 0, p) != 0;
    for (unsigned length : {0u, 1u, 2u, 16u, 110u, 128u, 129u, 0x80000000u, ~0u})
      refused += syscall(SYS_connect, fd, p, length) != 0;
  }
  printf("refused %d\n", refused);
  return 0;
}

// Children killed while qi-monitor looks at their call.
int DieMidCall(int count) {
  for (int i = 0; i < count; ++i) {
    pid_t child = fork();
    if (child == 0) {
      for (;;) (void)!mount("none", "/tmp/x", "tmpfs", 0, nullptr);
    }
    usleep(static_cast<useconds_t>(i % 20) * 100);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  Say("alive");
  return 0;
}

int Run(const char* what, int count) {
  if (!strcmp(what, "storm")) return Storm(count);
  if (!strcmp(what, "daemonize")) return Daemonize();
  if (!strcmp(what, "ignore-term")) return IgnoreTerm();
  if (!strcmp(what, "close-output")) return CloseOutput();
  if (!strcmp(what, "flood")) return Flood(count, false);
  if (!strcmp(what, "distinct")) return Flood(count, true);
  if (!strcmp(what, "lie")) return Lie();
  if (!strcmp(what, "die-mid-call")) return DieMidCall(count);
  if (!strcmp(what, "exit")) return count;
  if (!strcmp(what, "raise")) return raise(count);
  if (strcmp(what, "pause") != 0) return 2;
  Say("ready");
  PauseForever();
}

}  // namespace

int main(int argc, char** argv) { return argc < 2 ? 2 : Run(argv[1], argc > 2 ? atoi(argv[2]) : 0); }
