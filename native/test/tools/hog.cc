// Test tool: takes more than its share, in one way each. `hog VERB BOUND [WORD] [--hold] [--seconds N] [--renamed]`;
// sizes may end in K, M, G or T. Says `reached N` on its way and ends with `OK N`, or with an errno's name and what it
// had reached: exit code 0 with the bound reached, 1 without, 2 for a wrong command line, 3 when it could not begin.
// Outside a jail only harmless bounds are taken, unless QI_HOG_ANYWHERE=1 says that the machine is a virtual one.
#include <sys/prctl.h>

#include <cstdarg>
#include <cstring>

#include "hog_files.h"
#include "hog_group.h"
#include "hog_kernel.h"
#include "hog_memory.h"
#include "hog_processes.h"
#include "hog_report.h"
#include "hog_stubborn.h"
#include "hog_ticks.h"

namespace hog {
namespace {

constexpr uint64_t kHarmlessCount = 300, kHarmlessBytes = 64 * kMiB;

int TruncateSparse() { return Sparse(true); }
int WriteSparse() { return Sparse(false); }

constexpr struct Verb {
  const char* name;
  int (*run)();
  uint64_t harmless;
} kVerbs[] = {
    {"processes", Processes, kHarmlessCount},
    {"threads", Threads, kHarmlessCount},
    {"bomb", ForkBomb, 40},
    {"daemons", Daemons, 40},
    {"storm", Storm, 4},
    {"zombies", Zombies, kHarmlessCount},
    {"spin", Spin, 2},
    {"heap", Heap, kHarmlessBytes},
    {"mmap", Anonymous, kHarmlessBytes},
    {"shared", SharedAnonymous, kHarmlessBytes},
    {"family", Family, kHarmlessBytes},
    {"memfd", Memfd, kHarmlessBytes},
    {"hidden-memfd", HiddenMemfds, kHarmlessBytes},
    {"file", File, kHarmlessBytes},
    {"shm", PosixShm, kHarmlessBytes},
    {"sysv", SysvShm, kHarmlessBytes},
    {"pipes", Pipes, kHarmlessBytes},
    {"sockets", SocketBuffers, kHarmlessBytes},
    {"populate", Populate, kHarmlessBytes},
    {"populate-shared", PopulateShared, kHarmlessBytes},
    {"populate-much", PopulateMuch, kHarmlessBytes},
    {"touch", TouchFast, kHarmlessBytes},
    {"fds", Descriptors, 1000},
    {"eventfds", EventFds, 1000},
    {"timers", Timers, 1000},
    {"watches", Watches, 1000},
    {"epoll", EpollEntries, 10000},
    {"tiny", TinyFiles, 1000},
    {"sparse", WriteSparse, ~0ull},
    {"sparse-deaf", SparseDeaf, ~0ull},
    {"truncate", TruncateSparse, ~0ull},
    {"pagecache", PageCache, kHarmlessBytes},
    {"mapfile", MapFile, kHarmlessBytes},
    {"core", Core, kHarmlessBytes},
    {"deaf", Deaf, 10},
    {"stopped", Stopped, 10},
    {"escape", Escape, 1},
    {"ticks", Ticks, ~0ull},
};

uint64_t Number(const char* text) {
  char* end = nullptr;
  uint64_t value = strtoull(text, &end, 10);
  switch (*end) {
    case 'T':
      return value << 40;
    case 'G':
      return value << 30;
    case 'M':
      return value << 20;
    case 'K':
      return value << 10;
    default:
      return end == text ? 0 : value;
  }
}

// A jail of ours has this name; so does nothing else that a test starts.
bool InJail() {
  char host[64] = "";
  (void)gethostname(host, sizeof(host) - 1);
  const char* anywhere = getenv("QI_HOG_ANYWHERE");
  return strcmp(host, "qi-jail") == 0 || (anywhere != nullptr && strcmp(anywhere, "1") == 0);
}

int Usage() {
  (void)fprintf(stderr, "usage: hog VERB BOUND [WORD] [--hold] [--seconds N] [--renamed]\n");
  for (const Verb& verb : kVerbs) (void)fprintf(stderr, " %s", verb.name);
  (void)fprintf(stderr, "\n");
  return 2;
}

int Run(int argc, char** argv) {
  const Verb* chosen = nullptr;
  for (const Verb& verb : kVerbs)
    if (argc > 2 && strcmp(verb.name, argv[1]) == 0) chosen = &verb;
  if (chosen == nullptr) return Usage();
  request = {Number(argv[2]), "", false, 60, {}};
  (void)clock_gettime(CLOCK_MONOTONIC, &request.began);
  bool renamed = false;
  for (int i = 3; i < argc; ++i) {
    if (strcmp(argv[i], "--hold") == 0)
      request.hold = true;
    else if (strcmp(argv[i], "--renamed") == 0)
      renamed = true;
    else if (strcmp(argv[i], "--marker") == 0 && i + 1 < argc)
      ++i;  // only to be found by, in /proc
    else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
      request.seconds = static_cast<unsigned>(atoi(argv[++i]));
    else
      request.word = argv[i];
  }
  if (request.bound > chosen->harmless && !InJail()) {
    (void)fprintf(stderr, "hog: that much only in a jail\n");
    return 3;
  }
  if (renamed && !Rename(argc, argv)) return 3;
  return chosen->run();
}

}  // namespace
}  // namespace hog

int main(int argc, char** argv) {
  (void)setpgid(0, 0);  // EPERM for a session leader, which has a group of its own already
  return hog::Run(argc, argv);
}
