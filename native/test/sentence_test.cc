#include "monitor/sentence.h"

#include <fcntl.h>
#include <signal.h>

#include "check.h"
#include "monitor/refusal_tally.h"

namespace {

qi::Sentence sentence;

std::string Added(const char* text) {
  sentence.Clear();
  return sentence.Add(text).Finish();
}

std::string Word(const char* text) {
  sentence.Clear();
  return sentence.AddWord(text).Finish();
}

std::string Size(uint64_t bytes) {
  sentence.Clear();
  return sentence.AddSize(bytes).Finish();
}

}  // namespace

// The same as src/cli/printable.ts.
TEST(WhatCommandsATerminalIsEscaped) {
  CHECK_STREQ(Added("a \xc3\xbc \xf0\x9f\x98\x80"), "a \xc3\xbc \xf0\x9f\x98\x80\n");
  CHECK_STREQ(Added("\x1b[2J\n\x7f"), "\\u001b[2J\\u000a\\u007f\n");
  CHECK_STREQ(Added("\xc2\x9b"
                    "0m\xc2\xa0"),
              "\\u009b0m\xc2\xa0\n");
  CHECK_STREQ(Added("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xae\xe2\x80\xaf"), "\xe2\x80\xa7\\u2028\\u202e\xe2\x80\xaf\n");
  CHECK_STREQ(Added("\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa"), "\xe2\x81\xa5\\u2066\\u2069\xe2\x81\xaa\n");
  CHECK_STREQ(Added("\xff"
                    "a\xc2"),
              "\xef\xbf\xbd"
              "a\xef\xbf\xbd\n");
}

// The same as src/explain/words.ts.
TEST(WhatIsPastedIsOneWord) {
  CHECK_STREQ(Word("/etc/passwd"), "/etc/passwd\n");
  CHECK_STREQ(Word("a.example:443"), "a.example:443\n");
  CHECK_STREQ(Word("-rf"), "'-rf'\n");
  CHECK_STREQ(Word(""), "''\n");
  CHECK_STREQ(Word("[::1]:80"), "'[::1]:80'\n");
  CHECK_STREQ(Word("it's $(x)"), "'it'\\''s $(x)'\n");
  CHECK_STREQ(Word("'\n'"), "''\\''\\u000a'\\'''\n");
  CHECK_STREQ(Word("\xc3\xbc"), "'\xc3\xbc'\n");
}

// The same as src/cli/human.ts.
TEST(SizesAreRounded) {
  CHECK_STREQ(Size(0), "0 B\n");
  CHECK_STREQ(Size(1023), "1023 B\n");
  CHECK_STREQ(Size(1024), "1 KiB\n");
  CHECK_STREQ(Size(1536), "1.5 KiB\n");
  CHECK_STREQ(Size(10 * 1024 + 511), "10 KiB\n");
  CHECK_STREQ(Size(10 * 1024 + 512), "11 KiB\n");
  CHECK_STREQ(Size(uint64_t{48} << 20), "48 MiB\n");
  CHECK_STREQ(Size((uint64_t{5} << 30) / 4), "1.3 GiB\n");
  CHECK_STREQ(Size(uint64_t{3} << 50), "3072 TiB\n");
}

TEST(WhatDoesNotFitIsLeftOut) {
  std::string long_text(200000, 'x');
  sentence.Clear();
  std::string line = sentence.Add(long_text.c_str()).AddWord(long_text.c_str()).Finish();
  CHECK(line.size() < 64 * 1024);
  CHECK(line.back() == '\n');
}

TEST(AReaderThatIsGoneOrAsleepDoesNotHoldUs) {
  signal(SIGPIPE, SIG_IGN);
  int pair[2];
  REQUIRE(pipe2(pair, O_NONBLOCK) == 0);
  qi::WriteToPerson(pair[1], "said", 4);
  char text[8] = {};
  CHECK_EQ(read(pair[0], text, sizeof(text)), 4);
  CHECK_STREQ(text, "said");
  std::string more(1 << 20, 'x');
  qi::WriteToPerson(pair[1], more.data(), more.size());  // comes back although nobody reads
  REQUIRE(fcntl(pair[1], F_SETFL, 0) == 0);
  qi::WriteToPerson(pair[1], more.data(), more.size());  // and although writing waits
  close(pair[0]);
  qi::WriteToPerson(pair[1], "x", 1);
}

TEST(RefusalsAreCountedByWhatWasRefused) {
  static qi::RefusalTally tally;
  CHECK(tally.OfCall("syscall.refused", "mount") == nullptr);  // nobody wants to know
  tally.Enable();
  CHECK(tally.MostFrequent() == nullptr);
  qi::CountRefusals(tally.OfCall("syscall.refused", "mount"), 2);
  qi::CountRefusals(tally.OfHost("network.refused", "::1", 80), 1);
  qi::CountRefusals(tally.OfHost("dns.refused", "a.example", -1), 2);
  qi::CountRefusals(tally.OfPath("file.read", "/x"), 1);
  qi::CountRefusals(tally.OfPath("file.read", "/x"), 1);
  qi::CountRefusals(nullptr, 7);
  CHECK_EQ(tally.size(), 4u);
  CHECK_EQ(tally.Count("syscall."), 2u);
  CHECK_EQ(tally.Count("network."), 1u);
  CHECK_STREQ(tally.OfHost("network.refused", "::1", 80)->what, "[::1]:80");
  CHECK_STREQ(tally.OfHost("network.refused", "a.example", 53, true)->what, "a.example:53/udp");
  CHECK_STREQ(tally.MostFrequent()->what, "/x");  // of three with two the first by name
  CHECK_STREQ(tally.MostFrequent()->access, "");
  CHECK_STREQ(tally.OfPath("file.create", "/y")->access, "write");
  CHECK_STREQ(tally.OfPath("file.execute", "/y")->access, "execute");
  CHECK_STREQ(tally.OfPath("network.refused", "/socket")->access, "");
}

TEST(AFloodOfKindsHasAnEnd) {
  static qi::RefusalTally tally;
  tally.Enable();
  for (int i = 0; i < 1000; ++i) {
    char name[16];
    snprintf(name, sizeof(name), "/%d", i);
    qi::CountRefusals(tally.OfPath("file.read", name), 1);
  }
  CHECK_EQ(tally.size(), 256u);
  CHECK_EQ(tally.Count("file"), 256u);
}

CHECK_MAIN()
