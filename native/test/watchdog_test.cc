#include "monitor/watchdog.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>

#include "check.h"
#include "monitor/proportional.h"
#include "monitor/timer.h"

namespace {

constexpr uint64_t kMiB = 1 << 20;

void Fill(void* memory, size_t size) { memset(memory, 1, size); }

char* Map(size_t size, int flags) {
  return static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0));
}

// This machine's own root and /proc stand for a jail's.
struct World {
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int memfd = memfd_create("any", MFD_CLOEXEC);
  qi::ProcessTable table;
  qi::SharedMemory shared;
  World() {
    CHECK(table.Open(root));
    CHECK(shared.Open(root, -1, memfd, table));
  }
};

}  // namespace

TEST(LooksComeAsOftenAsTheHeadroomAsksFor) {
  CHECK_EQ(qi::NextLook(0, 0), 2);
  CHECK_EQ(qi::NextLook(64 * kMiB, 0), 16);
  CHECK_EQ(qi::NextLook(1 << 30, 0), 268);
  CHECK_EQ(qi::NextLook(uint64_t{1} << 40, 0), 500);
  CHECK_EQ(qi::NextLook(0, 1000000), 10);          // a tenth of a processor
  CHECK_EQ(qi::NextLook(1 << 30, 80000000), 800);  // also when it is slower than the slowest
}

TEST(AProcessIsSeenWithWhatItTakes) {
  static World world;
  Fill(Map(32 * kMiB, MAP_PRIVATE), 32 * kMiB);
  world.table.Read();
  CHECK(world.table.tasks() > 0);
  for (size_t i = 0; i < world.table.count(); ++i) {
    if (i > 0) CHECK(world.table[i - 1].bytes >= world.table[i].bytes);
    if (world.table[i].pid != getpid()) continue;
    CHECK(world.table[i].bytes > 32 * kMiB);
    CHECK(world.table[i].bytes < 64 * kMiB);
    qi::ProcessFacts facts = world.table.Facts(getpid());
    CHECK_STREQ(facts.comm, "watchdog_test");
    return;
  }
  CHECK(false);
}

TEST(WhatIsSharedIsDividedAmongThoseWhoShareIt) {
  static World world;
  constexpr size_t kSize = 32 * kMiB;
  Fill(Map(kSize, MAP_PRIVATE), kSize);
  int ready[2], done[2];
  REQUIRE(pipe(ready) == 0 && pipe(done) == 0);
  if (fork() == 0) {
    char byte;
    (void)!write(ready[1], "x", 1);
    close(done[1]);
    (void)!read(done[0], &byte, 1);
    _exit(0);
  }
  char byte;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  uint64_t alone = qi::ProportionalBytes(world.table, {getpid(), ~uint64_t{0}, 0, 0}, world.shared, ~uint64_t{0});
  CHECK(alone > kSize / 2);
  CHECK(alone < kSize);
  close(done[1]);
  wait(nullptr);
  uint64_t after = qi::ProportionalBytes(world.table, {getpid(), ~uint64_t{0}, 0, 0}, world.shared, ~uint64_t{0});
  CHECK(after > kSize);
  // No time for it: as much as is known.
  CHECK_EQ(qi::ProportionalBytes(world.table, {getpid(), 12345, 0, 0}, world.shared, 0), 12345);
  // Nobody there.
  CHECK_EQ(qi::ProportionalBytes(world.table, {0x7fffffff, 12345, 0, 0}, world.shared, ~uint64_t{0}), 0);
}

TEST(NoNumberOfGroupsHidesWhatAProcessTakes) {
  if (geteuid() != 0) SKIP("needs root");
  static World world;
  static gid_t groups[65536];  // NGROUPS_MAX
  for (gid_t i = 0; i < 65536; ++i) groups[i] = 3000000000u + i;
  int ready[2], done[2];
  REQUIRE(pipe(ready) == 0 && pipe(done) == 0);
  pid_t child = fork();
  if (child == 0) {
    char byte = setgroups(65536, groups) == 0 ? 'y' : 'n';
    Fill(Map(32 * kMiB, MAP_PRIVATE), 32 * kMiB);
    (void)!write(ready[1], &byte, 1);
    close(done[1]);
    (void)!read(done[0], &byte, 1);
    _exit(0);
  }
  char byte = 0;
  CHECK_EQ(read(ready[0], &byte, 1), 1);
  CHECK_EQ(byte, 'y');
  world.table.Read();
  uint64_t bytes = 0;
  for (size_t i = 0; i < world.table.count(); ++i) {
    if (world.table[i].pid == child) bytes = world.table[i].bytes;
  }
  CHECK(bytes > 32 * kMiB);
  close(done[1]);
  wait(nullptr);
}

TEST(OnlyAVforkBorrows) {
  static World world;
  int out[2];
  REQUIRE(pipe(out) == 0);
  auto verdict = [&](pid_t child) {
    qi::ProcessEntry one = {child, 0, 0, 5}, other = {getppid(), 0, 0, 5};
    return qi::BorrowsMemory(world.table, one, other) ? 'y' : 'n';
  };
  pid_t parent = fork();
  if (parent == 0) {
    pid_t waits = vfork();
    if (waits == 0) {
      char answer = verdict(getpid());
      (void)!write(out[1], &answer, 1);
      _exit(0);
    }
    if (fork() == 0) {
      char answer = verdict(getpid());
      (void)!write(out[1], &answer, 1);
      _exit(0);
    }
    wait(nullptr);
    _exit(0);
  }
  char answers[2] = {};
  CHECK_EQ(read(out[0], &answers[0], 1), 1);
  CHECK_EQ(read(out[0], &answers[1], 1), 1);
  CHECK_EQ(answers[0], 'y');
  CHECK_EQ(answers[1], 'n');
}

CHECK_MAIN()
