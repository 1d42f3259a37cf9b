#include "monitor/target.h"

#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <vector>

#include "check.h"

namespace {

size_t Page() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

// Two pages of which the second is not there: what lies at the end of the first borders on nothing.
char* EdgeOfMemory() {
  auto* pages =
      static_cast<char*>(mmap(nullptr, 2 * Page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  munmap(pages + Page(), Page());
  return pages + Page();
}

uint64_t Number(const void* p) { return reinterpret_cast<uint64_t>(p); }

}  // namespace

TEST(TextThatEndsAtTheLastByte) {
  char* edge = EdgeOfMemory();
  memcpy(edge - 5, "last", 5);
  char text[64];
  CHECK_EQ(qi::ReadText(getpid(), Number(edge - 5), text, sizeof(text)), 4);
  CHECK_STREQ(text, "last");
}

TEST(TextThatRunsIntoNothing) {
  char* edge = EdgeOfMemory();
  memcpy(edge - 4, "last", 4);
  char text[64];
  memset(text, '?', sizeof(text));
  CHECK_EQ(qi::ReadText(getpid(), Number(edge - 4), text, sizeof(text)), -1);
  CHECK_STREQ(text, "last");  // what could be read, ended
}

TEST(TextThatIsTooLong) {
  std::string source(1000, 'x');
  char text[256 + 1];
  text[256] = '!';
  CHECK_EQ(qi::ReadText(getpid(), Number(source.c_str()), text, 256), -2);
  CHECK_EQ(strlen(text), 255);
  CHECK_EQ(text[256], '!');
  std::string fits(255, 'y');
  CHECK_EQ(qi::ReadText(getpid(), Number(fits.c_str()), text, 256), 255);
  std::string one_more(256, 'y');
  CHECK_EQ(qi::ReadText(getpid(), Number(one_more.c_str()), text, 256), -2);
}

TEST(TextAcrossPages) {
  auto* pages =
      static_cast<char*>(mmap(nullptr, 3 * Page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  memset(pages, 'x', 3 * Page() - 1);
  static char text[4 * 65536];
  CHECK_EQ(qi::ReadText(getpid(), Number(pages + 100), text, sizeof(text)), static_cast<long>(3 * Page() - 101));
}

TEST(AddressesOfNothing) {
  char text[16];
  for (uint64_t address :
       {uint64_t{0}, uint64_t{8}, ~uint64_t{0}, ~uint64_t{0} - 7, uint64_t{1} << 63, Number(EdgeOfMemory())}) {
    CHECK_EQ(qi::ReadText(getpid(), address, text, sizeof(text)), -1);
    CHECK_STREQ(text, "");
    CHECK_EQ(qi::ReadMemory(getpid(), address, text, sizeof(text)), 0);
  }
}

TEST(MemoryThatMayNotBeRead) {
  void* dark = mmap(nullptr, Page(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char text[16];
  CHECK_EQ(qi::ReadMemory(getpid(), Number(dark), text, sizeof(text)), 0);
}

TEST(MemoryUpToTheEdge) {
  char* edge = EdgeOfMemory();
  memset(edge - 10, 'z', 10);
  char text[64];
  CHECK_EQ(qi::ReadMemory(getpid(), Number(edge - 10), text, sizeof(text)), 10);
}

TEST(ProcessesThatAreGone) {
  pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  char text[16];
  CHECK_EQ(qi::ReadMemory(child, Number(text), text, sizeof(text)), 0);
  qi::ProcessFacts facts = qi::ReadFacts(child);
  CHECK_EQ(facts.pid, 0);
  CHECK_STREQ(facts.comm, "");
  CHECK_STREQ(facts.command_line, "");
}

TEST(FactsOfAProcessThatLies) {
  prctl(PR_SET_NAME, "Tgid:\t1\nUmask:", 0, 0, 0);
  qi::ProcessFacts facts = qi::ReadFacts(getpid());
  CHECK_EQ(facts.pid, getpid());
  CHECK_EQ(facts.tid, getpid());
  CHECK_EQ(facts.jail_pid, getpid());
  CHECK_STREQ(facts.comm, "Tgid:\t1\nUmask:");
  CHECK(strstr(facts.command_line, "target_test") != nullptr);
}

CHECK_MAIN()

// Their list comes before the numbers of the process in /proc/PID/status.
TEST(AProcessWithThousandsOfGroups) {
  qi::ProcessFacts with_few = qi::ReadStatus(getpid());
  CHECK_EQ(with_few.jail_pid, getpid());
  std::vector<gid_t> groups(20000);
  for (size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<gid_t>(1000000 + i);
  pid_t child = fork();
  if (child == 0) {
    // Without privilege nobody can have them, and there is nothing to test.
    if (setgroups(groups.size(), groups.data()) != 0) _exit(errno == EPERM ? 0 : 1);
    bool right = qi::ReadStatus(getpid()).jail_pid == getpid() && !qi::SignalWaits(getpid());
    _exit(right ? 0 : 1);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}
