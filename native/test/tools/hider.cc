// Test tool: takes memory while it hides from who looks. `hider HOW WHAT MEBIBYTES`; ends with `OK`, after it has held
// it for a second. Outside a jail it takes no more than 64 MiB.
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

namespace {

constexpr size_t kMiB = 1 << 20;
const char* what;
size_t size;

void Must(bool ok, const char* act) {
  if (ok) return;
  perror(act);
  _exit(3);
}

// Shared, since RLIMIT_DATA ends private memory.
void TakeHeap() {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  Must(memory != MAP_FAILED, "mmap");
  for (size_t i = 0; i < size; i += kMiB) {
    memset(static_cast<char*>(memory) + i, 1, kMiB);
    (void)usleep(1000);
  }
}

void TakeMemfd() {
  static char piece[kMiB];
  int fd = memfd_create("7f0a1000-7f0a2000 rw-s 00000000 00:01 1", MFD_CLOEXEC);
  Must(fd >= 0, "memfd_create");
  for (size_t i = 0; i < size; i += kMiB) {
    Must(write(fd, piece, kMiB) == static_cast<ssize_t>(kMiB), "write");
    (void)usleep(1000);
  }
}

void Take() {
  strcmp(what, "memfd") == 0 ? TakeMemfd() : TakeHeap();
  sleep(1);
  puts("OK");
  fflush(stdout);
  _exit(0);
}

void* TakeApart(void*) {
  Must(unshare(CLONE_FILES) == 0, "unshare");
  Take();
  return nullptr;
}

void* TakeInThread(void*) {
  (void)usleep(10000);
  Take();
  return nullptr;
}

// The first thread ends, and with it what /proc/PID says of the process.
void HideBehindDeadLeader() {
  pthread_t thread;
  Must(pthread_create(&thread, nullptr, TakeInThread, nullptr) == 0, "pthread_create");
  pthread_exit(nullptr);
}

void HideInThread() {
  pthread_t thread;
  Must(pthread_create(&thread, nullptr, TakeApart, nullptr) == 0, "pthread_create");
  pthread_join(thread, nullptr);
}

// Nothing is hidden: children that borrow the memory must not be taken for more of it.
void Borrow() {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Must(memory != MAP_FAILED, "mmap");
  memset(memory, 1, size);
  for (int i = 0; i < 100; ++i) {
    pid_t pid = vfork();
    if (pid == 0) {
      (void)usleep(10000);
      _exit(0);
    }
    (void)waitpid(pid, nullptr, 0);
  }
  puts("OK");
}

// Another thread of the process waits for a vfork: so a child that has its size looks as if it had borrowed from it.
void* WaitForVfork(void*) {
  if (vfork() == 0) {
    pause();
    _exit(0);
  }
  return nullptr;
}

void StageVfork() {
  pthread_t thread;
  Must(pthread_create(&thread, nullptr, WaitForVfork, nullptr) == 0, "pthread_create");
  (void)usleep(50000);
}

// Six times `size`, each time in a child of one that seems to wait for it, beside one that always seems to have just
// begun: each of them must not be believed for the others' sake.
void StageVforks() {
  auto* memory = static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  Must(memory != MAP_FAILED, "mmap");
  int taken[2];
  Must(pipe(taken) == 0, "pipe");
  auto child_of_waiting = [memory, taken](size_t bytes, useconds_t us) {
    pid_t pid = fork();
    Must(pid >= 0, "fork");
    if (pid > 0) return pid;
    memset(memory, 1, bytes);
    if (bytes == size) Must(write(taken[1], "", 1) == 1, "write");
    (void)usleep(us);
    _exit(0);
  };
  for (int i = 0; i < 7; ++i) {
    pid_t pid = fork();
    Must(pid >= 0, "fork");
    if (pid > 0) continue;
    StageVfork();
    constexpr useconds_t kMs = 1000;
    if (i < 6) (void)child_of_waiting(size, 20000 * kMs);
    for (;;) {
      if (i < 6) pause();
      (void)waitpid(child_of_waiting(2 * kMiB, 200 * kMs), nullptr, 0);
    }
  }
  char byte;
  for (int i = 0; i < 6; ++i) Must(read(taken[0], &byte, 1) == 1, "read");
  sleep(4);
  puts("OK");
}

// Many have it, and it is there once.
void Share() {
  auto* memory = static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  Must(memory != MAP_FAILED, "mmap");
  memset(memory, 1, size);
  for (int i = 0; i < 10; ++i) {
    pid_t pid = fork();
    Must(pid >= 0, "fork");
    if (pid > 0) continue;
    sleep(3);
    _exit(0);
  }
  while (wait(nullptr) > 0) {
  }
  puts("OK");
}

// From nothing to `size` and back, as often as it goes.
void Swing() {
  timespec now;
  Must(clock_gettime(CLOCK_MONOTONIC, &now) == 0, "clock_gettime");
  for (time_t end = now.tv_sec + 4; now.tv_sec < end; (void)clock_gettime(CLOCK_MONOTONIC, &now)) {
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    Must(memory != MAP_FAILED, "mmap");
    memset(memory, 1, size);
    (void)usleep(30000);
    (void)munmap(memory, size);
    (void)usleep(30000);
  }
  puts("OK");
}

// Who is stopped cannot go on by itself, but a timer of its own can send what makes it.
void WakeUp() {
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGCONT;
  (void)signal(SIGCONT, [](int) {});
  timer_t timer;
  itimerspec often = {{0, 1000000}, {0, 1000000}};
  Must(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create");
  Must(timer_settime(timer, 0, &often, nullptr) == 0, "timer_settime");
  puts("awake");
  fflush(stdout);
  for (;;) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const char* how = argv[1];
  what = argv[2];
  size = static_cast<size_t>(atoi(argv[3])) * kMiB;
  bool jailed = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2;
  if (!jailed && size > 64 * kMiB) return 2;
  if (strcmp(how, "undumpable") == 0) Must(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0, "prctl");
  if (strcmp(how, "renamed") == 0) Must(prctl(PR_SET_NAME, "a) R 1\n(VmRSS:\t1") == 0, "prctl");
  if (strcmp(how, "leaderless") == 0) HideBehindDeadLeader();
  if (strcmp(how, "apart") == 0) HideInThread();
  if (strcmp(how, "awake") == 0) WakeUp();
  for (auto [name, act] : {std::pair{"borrow", Borrow}, {"staged", StageVforks}, {"swing", Swing}, {"share", Share}}) {
    if (strcmp(how, name) != 0) continue;
    act();
    return 0;
  }
  Take();
}
