#include "monitor/events.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>

#include "check.h"
#include "plan_builder.h"

namespace {

constexpr uint64_t kSecond = 1000000000u;

std::string TimeOf(uint64_t ns) {
  char text[32];
  qi::FormatTime(ns, text);
  return text;
}

// A jail of nothing but a plan.
struct Fixture {
  std::vector<uint8_t> bytes;
  qi::Jail jail;
  Fixture() {
    qi_check::PlanBuilder builder;
    builder.Set(&qi::Plan::audit_head, "\"version\":\"1.0\"");
    bytes = builder.Finish();
    jail.blob = {bytes.data(), bytes.size(), bytes.size()};
    jail.plan = &qi::PlanOf(jail.blob);
  }
};

std::string ReadAll(int fd) {
  std::string text;
  char part[4096];
  lseek(fd, 0, SEEK_SET);
  for (ssize_t n; (n = read(fd, part, sizeof(part))) > 0;) text.append(part, static_cast<size_t>(n));
  return text;
}

}  // namespace

TEST(TimesReadAsTheClockSays) {
  CHECK_STREQ(TimeOf(0), "1970-01-01T00:00:00.000Z");
  CHECK_STREQ(TimeOf(999999), "1970-01-01T00:00:00.000Z");
  CHECK_STREQ(TimeOf(951782399 * kSecond + 999999999), "2000-02-28T23:59:59.999Z");
  CHECK_STREQ(TimeOf(951782400 * kSecond), "2000-02-29T00:00:00.000Z");
  CHECK_STREQ(TimeOf(951868800 * kSecond), "2000-03-01T00:00:00.000Z");
  CHECK_STREQ(TimeOf(1709164800 * kSecond), "2024-02-29T00:00:00.000Z");
  CHECK_STREQ(TimeOf(1735689599 * kSecond + 1000000), "2024-12-31T23:59:59.001Z");
  CHECK_STREQ(TimeOf(4107542400 * kSecond), "2100-03-01T00:00:00.000Z");
}

TEST(TimesAreThoseOfTheLibrary) {
  for (int64_t day = 0; day < 140 * 366; ++day) {
    time_t at = static_cast<time_t>(day) * 86400 + day * 31 % 86400;
    tm parts;
    gmtime_r(&at, &parts);
    char want[64];
    strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000Z", &parts);
    CHECK_STREQ(TimeOf(static_cast<uint64_t>(at) * kSecond), want);
  }
}

TEST(EventsAreOneLineInTheFile) {
  Fixture f;
  int file = memfd_create("audit", 0);
  static qi::EventWriter events;
  events.Init(f.jail, -1, file);
  for (int i = 0; i < 2; ++i) {
    events.Start("security", "test.act", "blocked", "warning").Pair("text", "line\nbreak");
    events.Finish("medium");
  }
  std::string text = ReadAll(file);
  CHECK_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  CHECK(text.find("\"version\":\"1.0\",\"event\":{\"category\":\"security\",\"action\":\"test.act\"") !=
        std::string::npos);
  CHECK(text.find("\"parameters\":{\"text\":\"line\\u000abreak\"},\"security\":{\"riskLevel\":\"medium\"}}}\n") !=
        std::string::npos);
  CHECK_EQ(events.lost(), 0);
  CHECK_EQ(events.written(), 2);
}

TEST(EventsThatDoNotFitAreCounted) {
  Fixture f;
  int file = memfd_create("audit", 0);
  static qi::EventWriter events;
  events.Init(f.jail, -1, file);
  std::string large(70000, 'x');
  events.Start("security", "test.act", "blocked", "warning").Pair("text", large.c_str());
  events.Finish();
  CHECK_EQ(events.lost(), 1);
  CHECK_STREQ(ReadAll(file), "");
}

TEST(AFileThatCannotBeWrittenIsCounted) {
  Fixture f;
  static qi::EventWriter events;
  events.Init(f.jail, -1, open("/dev/full", O_WRONLY));
  events.Start("security", "test.act", "blocked", "warning");
  events.Finish();
  CHECK_EQ(events.lost(), 1);
}

TEST(AHostThatDoesNotReadDelaysButLosesNothingBeforeTheQueueIsFull) {
  Fixture f;
  int pair[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  static qi::EventWriter events;
  events.Init(f.jail, pair[0], -1);
  std::string text(1000, 'x');
  uint64_t sent = 0;
  for (; events.lost() == 0 && sent < 20000; ++sent) {
    events.Start("security", "test.act", "blocked", "warning").Pair("text", text.c_str());
    events.Finish();
  }
  CHECK(sent > 3000);  // the queue holds megabytes
  CHECK_EQ(events.lost(), 1);
  CHECK(events.HasQueue());
  uint64_t lines = 0;
  fcntl(pair[1], F_SETFL, O_NONBLOCK);
  while (events.HasQueue()) {
    static char part[1 << 16];
    for (ssize_t n; (n = read(pair[1], part, sizeof(part))) > 0;) lines += std::count(part, part + n, '\n');
    CHECK(events.Flush());
  }
  static char rest[1 << 20];
  for (ssize_t n; (n = read(pair[1], rest, sizeof(rest))) > 0;) lines += std::count(rest, rest + n, '\n');
  CHECK_EQ(lines, sent - 1);
  close(pair[1]);
  events.StartMessage("exit");
  events.FinishMessage();
  CHECK(!events.Flush());
}

CHECK_MAIN()
