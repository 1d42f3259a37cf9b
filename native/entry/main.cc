// The command line tool as a program: what bin/qi-jail does, without the shell, which costs more than the rest of
// finding the launcher. npm takes one file for every machine, so that is a script; who knows the machine, as `qi-jail
// mcp wrap` does, starts this one: PACKAGE/prebuilds/linux-ARCH/qi-jail, in a checkout build/Release/qi-jail. A link
// leads here too. Runs in: before qi-monitor.
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/errno_names.h"

namespace qi {
namespace {

constexpr int kCannotStart = 127;

int Fail(const char* what, const char* path, const char* remedy) {
  char text[PATH_MAX + 256];
  int n = snprintf(text, sizeof(text), "qi-jail: QI_HOST: %s %s: %s%s\n", what, path, ErrnoName(errno), remedy);
  if (n > 0) (void)!write(2, text, static_cast<size_t>(n) < sizeof(text) ? static_cast<size_t>(n) : sizeof(text) - 1);
  return kCannotStart;
}

// Cuts the last component off a full path; of the root there is none.
void ToFolder(char* path) {
  char* slash = strrchr(path, '/');
  slash[slash == path ? 1 : 0] = '\0';
}

// PACKAGE/FOLDER/BUILD/qi-jail, by the kernel's word: argv[0] is what the caller chose.
bool FindPackage(char* root, char* monitor) {
  ssize_t n = readlink("/proc/self/exe", root, PATH_MAX);
  if (n == PATH_MAX) errno = ENAMETOOLONG;
  if (n <= 0 || n == PATH_MAX) return false;
  root[n] = '\0';
  errno = ENOENT;
  if (root[0] != '/') return false;
  ToFolder(root);
  if (snprintf(monitor, PATH_MAX, "%s/qi-monitor", root) >= PATH_MAX) {
    errno = ENAMETOOLONG;
    return false;
  }
  ToFolder(root);
  ToFolder(root);
  return true;
}

int Start(int argc, char** argv) {
  static char root[PATH_MAX];
  static char monitor[PATH_MAX];
  if (!FindPackage(root, monitor)) return Fail("cannot tell where it lies by", "/proc/self/exe", "");
  auto** args = static_cast<char**>(calloc(static_cast<size_t>(argc) + 5, sizeof(char*)));
  if (args == nullptr) return Fail("no memory for", "its arguments", "");
  static char launch[] = "--launch";
  static char end[] = "--";
  char* const own[] = {monitor, launch, root, end};
  memcpy(args, own, sizeof(own));
  for (int i = 1; i < argc; ++i) args[i + 3] = argv[i];
  (void)execv(monitor, args);
  free(args);
  return Fail("cannot start", monitor, " (it belongs beside qi-jail: link to qi-jail, do not copy it)");
}

}  // namespace
}  // namespace qi

int main(int argc, char** argv) { _exit(qi::Start(argc, argv)); }
