// Built with the C library of qi-monitor, whichever that is: what is written beyond memory whose size the compiler
// knows ends the process. Without the test framework, which needs more of a C++ library than qi-monitor has.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace {

constexpr size_t kRoom = 16;
const char* volatile text = "twice as long as the room for it";  // volatile: the compiler shall not see that

struct Act {
  const char* name;
  void (*write)(char* end, size_t size);
};

// The room is a local of each: a pointer passed in would have no size that is known. `keep` has the writes not left
// out.
#define ACT(name, call)                            \
  {                                                \
    name, [](char* keep, size_t size) {            \
      char room[kRoom] = {};                       \
      call;                                        \
      for (char byte : room) *keep = byte | *keep; \
    }                                              \
  }
constexpr Act kActs[] = {ACT("memcpy", memcpy(room, text, size)), ACT("memmove", memmove(room, text, size)),
                         ACT("memset", memset(room, 7, size)), ACT("snprintf", snprintf(room, size, "%s", text))};

bool Survives(const Act& act, size_t size) {
  pid_t child = fork();
  if (child == 0) {
    rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)close(2);  // glibc has something to say before it aborts
    char kept = 0;
    act.write(&kept, size);
    _exit(0);
  }
  int status = -1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace

int main() {
  int passed = 0, failed = 0;
  auto check = [&](bool good, const char* what, const char* name) {
    if (!good) printf("  %s %s\n", name, what);
    good ? ++passed : ++failed;
  };
  for (const Act& act : kActs) {
    check(Survives(act, kRoom), "ended within its room", act.name);
    check(!Survives(act, kRoom + 1), "went on beyond its room", act.name);
  }
  printf("qi-check: %d passed, %d failed, 0 skipped\n", passed, failed);  // what scripts/test.sh counts
  return failed == 0 ? 0 : 1;
}
