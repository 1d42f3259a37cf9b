#include "core/execute.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace qi {

int Execute(const char* file, char* const* argv, char* const* envp, uint64_t open_files) {
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
  // Node raised it to the hard one; select(2) of old programs ends with descriptors above 1023.
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && open_files < files.rlim_cur) {
    files.rlim_cur = open_files;
    (void)setrlimit(RLIMIT_NOFILE, &files);  // lowering needs no right
  }
  execve(file, argv, envp);
  return errno;
}

}  // namespace qi
