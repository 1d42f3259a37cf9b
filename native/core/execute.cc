#include "core/execute.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace qi {

int Execute(const char* file, char* const* argv, char* const* envp) {
  // Node ignores SIGPIPE and SIGXFSZ, and what is ignored stays so over an exec: `yes | head` would not end. signal(7)
  struct sigaction normal {};
  normal.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal)
    (void)sigaction(signal, &normal, nullptr);  // EINVAL: KILL, STOP, libc's
  sigset_t none;
  sigemptyset(&none);
  (void)pthread_sigmask(SIG_SETMASK, &none, nullptr);
  // libuv marks what it was started with. Of the rest nobody can tell what is Node's own.
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) (void)fcntl(fd, F_SETFD, 0);  // EBADF: it was closed, and stays so
  execve(file, argv, envp);
  return errno;
}

}  // namespace qi
