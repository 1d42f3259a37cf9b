#include "monitor/kernel_text.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <string>

#include "check.h"
#include "monitor/proc_lines.h"

namespace {

int FileOf(const std::string& text) {
  int fd = memfd_create("text", MFD_CLOEXEC);
  CHECK_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return fd;
}

}  // namespace

TEST(FlatKeyedFiles) {
  const char* text = "low 0\nhigh 12\nmax 3\noom 1\noom_kill 18446744073709551615\noom_group_kill 1\n";
  uint64_t value = 7;
  CHECK(qi::Field(text, "high", &value));
  CHECK_EQ(value, 12);
  CHECK(qi::Field(text, "oom", &value));  // not the longer names that begin alike
  CHECK_EQ(value, 1);
  CHECK(qi::Field(text, "oom_kill", &value));
  CHECK_EQ(value, UINT64_MAX);
  CHECK(!qi::Field(text, "oom_", &value));
  CHECK(!qi::Field(text, "igh", &value));
  CHECK(!qi::Field("", "high", &value));
  CHECK(!qi::Field("high", "high", &value));
  CHECK(!qi::Field("high x\n", "high", &value));
}

TEST(SingleNumbers) {
  uint64_t value = 7;
  CHECK(qi::Number("4096\n", &value));
  CHECK_EQ(value, 4096);
  CHECK(!qi::Number("max\n", &value));
  CHECK(!qi::Number("", &value));
  CHECK(!qi::Number("-1\n", &value));
}

TEST(FilesAreReadFromTheirStart) {
  int fd = FileOf("usage_usec 100\nuser_usec 60\n");
  char text[64];
  for (int i = 0; i < 2; ++i) {
    uint64_t value = 0;
    CHECK(qi::ReadAgain(fd, text, sizeof(text)) && qi::Field(text, "user_usec", &value));
    CHECK_EQ(value, 60);
  }
  CHECK(!qi::ReadAgain(-1, text, sizeof(text)));
  CHECK_STREQ(text, "");
  char small[8];
  CHECK(qi::ReadAgain(fd, small, sizeof(small)));
  CHECK_STREQ(small, "usage_u");
}

TEST(DevicesAreSummed) {
  const char* text =
      "8:0 rbytes=100 wbytes=7 rios=1 wios=2 dbytes=0 dios=0\n253:16 rbytes=23 wbytes=0 rios=1 wios=2 dbytes=9 "
      "dios=0\n";
  CHECK_EQ(qi::SumOfDevices(text, "rbytes"), 123);
  CHECK_EQ(qi::SumOfDevices(text, "wbytes"), 7);
  CHECK_EQ(qi::SumOfDevices(text, "bytes"), 0);
  CHECK_EQ(qi::SumOfDevices("", "rbytes"), 0);
}

TEST(PressureHasOneOrTwoLines) {
  qi::Pressure pressure;
  CHECK(qi::ParsePressure("some avg10=12.34 avg60=1.00 avg300=0.00 total=5\nfull avg10=0.05 avg60=0.00 total=1\n",
                          &pressure));
  CHECK_EQ(pressure.some10, 1234);
  CHECK_EQ(pressure.full10, 5);
  CHECK(pressure.has_full);
  CHECK(qi::ParsePressure("some avg10=100.00 avg60=0.00 avg300=0.00 total=0\n", &pressure));
  CHECK_EQ(pressure.some10, 10000);
  CHECK(!pressure.has_full);
  CHECK(!qi::ParsePressure("", &pressure));
}

TEST(StatusOfAProcess) {
  qi::ProcessMemory memory = qi::ParseStatus(
      "Name:\tcat\nState:\tR\nGroups:\t1 2 \nVmSize:\t    9000 kB\nVmRSS:\t    1000 kB\nVmPTE:\t      48 kB\n"
      "VmSwap:\t       8 kB\nThreads:\t3\n");
  CHECK(memory.has_memory);
  CHECK_EQ(memory.bytes, (1000 + 48 + 8) * 1024);
  CHECK_EQ(memory.tables, 48 * 1024);
  CHECK_EQ(memory.size, 9000);
  CHECK_EQ(memory.threads, 3);
  memory = qi::ParseStatus("Name:\tcat\nState:\tZ (zombie)\nThreads:\t2\n");
  CHECK(!memory.has_memory);
  CHECK_EQ(memory.threads, 2);
  CHECK_EQ(qi::ParseStatus("").threads, 0);
}

TEST(NamesCannotSpeakForTheKernel) {
  // Were the name's line break not escaped, its line would still be the first.
  qi::ProcessMemory memory = qi::ParseStatus("Name:\tVmRSS:\t 1\nVmRSS:\t 500 kB\nThreads:\t9\n");
  CHECK_EQ(memory.bytes, 500 * 1024);
  qi::ProcessStat stat = qi::ParseStat("42 (a) Z 9 (R) R 1) S 7 1 1 0 -1 64 0 0 0 0 11 22 33 44 20 0 1 0");
  CHECK_EQ(stat.state, 'S');
  CHECK_EQ(stat.parent, 7);
  CHECK(stat.forked);
  CHECK_EQ(stat.user, 44);
  CHECK_EQ(stat.system, 66);
  CHECK_EQ(qi::ParseStat("42 (a").state, 0);
  CHECK_EQ(qi::ParseStat("42 (a) S 1 2").user, 0);
}

TEST(NamesOfThisKernel) {
  static char text[32 * 1024];
  for (const char* name : {"a) R 1\nVmRSS:\t1", ") Z 9", "\nThreads:\t99", "\\n\xff\xfe("}) {
    REQUIRE(prctl(PR_SET_NAME, name) == 0);
    REQUIRE(qi::ReadAt(AT_FDCWD, "/proc/self/status", text, sizeof(text)));
    qi::ProcessMemory memory = qi::ParseStatus(text);
    CHECK(memory.has_memory && memory.bytes > 200 * 1024);
    CHECK_EQ(memory.threads, 1);
    REQUIRE(qi::ReadAt(AT_FDCWD, "/proc/self/stat", text, sizeof(text)));
    CHECK_EQ(qi::ParseStat(text).state, 'R');
    CHECK_EQ(qi::ParseStat(text).parent, getppid());
  }
}

TEST(HeadsOfMappings) {
  qi::MappingHead head;
  CHECK(qi::ParseMappingHead("7f0a1000-7f0a2000 rw-s 00000000 00:01 1027                       /memfd:x (deleted)",
                             &head));
  CHECK_EQ(head.device, 1);
  CHECK_EQ(head.inode, 1027);
  CHECK(!head.system_v);
  CHECK(qi::ParseMappingHead("7f0a1000-7f0a2000 rw-s 00000000 fd:0a 32768    /SYSV00000000 (deleted)", &head));
  CHECK_EQ(head.device, (uint64_t{0xfd} << 32) | 0xa);
  CHECK(head.system_v);
  CHECK(qi::ParseMappingHead("7f0a1000-7f0a2000 rw-p 00000000 00:00 0 ", &head));
  CHECK(qi::ParseMappingHead("7f0a1000-7f0a2000 rw-s 00000000 00:01 9  /memfd:/SYSV00000000 (deleted)", &head));
  CHECK(!head.system_v);
  CHECK(!qi::ParseMappingHead("Pss:                   4 kB", &head));
  CHECK(!qi::ParseMappingHead("", &head));
}

// The rest of a line that is too long is no line: a path of the payload's choosing may end like one of the kernel's.
TEST(LongLinesAreCutNotContinued) {
  std::string text = std::string(4095, 'x') + "7f0a1000-7f0a2000 rw-s 00000000 00:01 1\nPss: 5 kB\n";
  int fd = FileOf(text);
  lseek(fd, 0, SEEK_SET);
  qi::ProcLines read{qi::UniqueFd(fd)};
  const char* line = read.Next();
  REQUIRE(line != nullptr);
  CHECK_EQ(strlen(line), 4095);
  line = read.Next();
  REQUIRE(line != nullptr);
  CHECK_STREQ(line, "Pss: 5 kB");
  CHECK(read.Next() == nullptr);
}

CHECK_MAIN()
