// Test tool: leaves processes behind, as hard to find as they can be, says "ready", and waits for ever.
// `stray chain`: three lines of processes that each begin a session, fork the next and end. `stray headless`: one
// whose first thread has ended. With `go` behind it the tool itself ends at once.
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

// As many as the limit on processes lets be; what has none of the pipes open that somebody waits at.
void CloseAll() {
  for (int fd = 0; fd < 64; ++fd) (void)close(fd);
}

[[noreturn]] void Chain() {
  CloseAll();
  for (;;) {
    (void)setsid();
    pid_t next = fork();
    if (next > 0) _exit(0);
    if (next < 0) (void)usleep(100);  // as many as there may be
  }
}

void* Sleep(void*) {
  for (;;) (void)pause();
}

[[noreturn]] void Headless() {
  CloseAll();
  pthread_t thread;
  if (pthread_create(&thread, nullptr, Sleep, nullptr) != 0) _exit(1);
  (void)syscall(SYS_exit, 0);  // of this thread alone
  _exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  bool chain = strcmp(argv[1], "chain") == 0;
  int count = chain ? 3 : 1;
  (void)signal(SIGCHLD, SIG_IGN);
  for (int i = 0; i < count; ++i) {
    pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) chain ? Chain() : Headless();
  }
  const char* temp = getenv("TMPDIR");
  printf("ready %s\n", temp != nullptr ? temp : "");
  (void)fflush(stdout);
  if (strcmp(argv[argc - 1], "go") == 0) return 0;
  for (;;) (void)pause();
}
