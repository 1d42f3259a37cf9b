// Test tool: `act NAME ARG…` does one hostile act and prints one line: `OK DETAIL`, or the name of the errno it met. It
// exits with 0 either way: what should have happened is for the test to say.
#include <sys/prctl.h>

#include "act_call.h"
#include "act_limits.h"
#include "act_races.h"
#include "act_surface.h"

namespace {

struct Act {
  const char* name;
  void (*run)(const act::Words& arguments);
};

void Call(const act::Words& words) { act::Chain(words).Run(); }

// As `call`, from a thread with a working directory and descriptors of its own: `own-cwd DIR CALL…`.
void OwnCwd(const act::Words& words) { act::InOwnThread(words, Call); }

constexpr Act kActs[] = {
    {"call", Call},
    {"own-cwd", OwnCwd},
    {"i386", act::I386Call},
    {"descriptors", act::Descriptors},
    {"fork-many", act::ForkMany},
    {"open-many", act::OpenMany},
    {"swap-connect", act::SwapConnect},
    {"swap-path", act::SwapPath},
    {"swap-read", act::SwapRead},
    {"swap-fd", act::SwapFd},
    {"swap-folder", act::SwapFolder},
    {"die-asking", act::DieAsking},
    {"unmap-asking", act::UnmapAsking},
};

}  // namespace

int main(int argc, char** argv) {
  act::Words arguments(argv + (argc < 2 ? argc : 2), argv + argc);
  for (const Act& each : kActs) {
    if (argc < 2 || strcmp(each.name, argv[1]) != 0) continue;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);  // no bare control outlives its test
    each.run(arguments);
    act::EndSibling();
    _exit(0);
  }
  (void)fprintf(stderr, "act: no act %s\n", argc < 2 ? "given" : argv[1]);
  return 2;
}
