#include "monitor/file_log.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "check.h"
#include "plan_builder.h"

namespace {

// A log whose events go to a file of ours.
class Log {
 public:
  Log() {
    qi_check::PlanBuilder builder;
    bytes_ = builder.Finish();
    jail_.blob = {bytes_.data(), bytes_.size(), bytes_.size()};
    jail_.plan = &qi::PlanOf(jail_.blob);
    file_ = memfd_create("audit", 0);
    static qi::EventWriter events;
    events.Init(jail_, -1, file_);
    log.emplace_back(&events);
    request_.pid = static_cast<uint32_t>(getpid());
    request_.data.nr = SYS_openat;
  }

  void Add(const std::string& path, int error = 0, const char* action = "file.read") {
    qi::FileEvent event;
    event.request = &request_;
    event.syscall = "openat";
    event.action = action;
    event.access = "read";
    event.path = path.c_str();
    event.rule = "not granted";
    event.error = error;
    log[0].Add(event);
  }

  std::vector<std::string> Lines() const {
    std::vector<std::string> lines;
    FILE* file = fdopen(dup(file_), "r");
    rewind(file);
    char* line = nullptr;
    size_t room = 0;
    while (getline(&line, &room, file) > 0) lines.emplace_back(line);
    free(line);
    fclose(file);
    return lines;
  }

  std::vector<qi::FileLog> log;

 private:
  std::vector<uint8_t> bytes_;
  qi::Jail jail_;
  int file_;
  seccomp_notif request_ = {};
};

uint64_t CountOf(const std::string& line) {
  size_t at = line.find("\"repeatCount\":");
  return at == std::string::npos ? 0 : strtoull(line.c_str() + at + 14, nullptr, 10);
}

uint64_t Told(const std::vector<std::string>& lines) {
  uint64_t sum = 0;
  for (const std::string& line : lines) sum += CountOf(line);
  return sum;
}

}  // namespace

TEST(TheFirstIsToldAtOnceTheSameAgainAsACount) {
  Log events;
  for (int i = 0; i < 5; ++i) events.Add("/a");
  std::vector<std::string> lines = events.Lines();
  REQUIRE(lines.size() == 1);
  CHECK_EQ(CountOf(lines[0]), 1);
  CHECK(lines[0].find("\"path\":\"/a\"") != std::string::npos);
  CHECK(events.log[0].Pending());
  events.log[0].Flush(true);
  lines = events.Lines();
  REQUIRE(lines.size() == 2);
  CHECK_EQ(CountOf(lines[1]), 4);
  CHECK(!events.log[0].Pending());
  events.Add("/a");
  CHECK_EQ(events.Lines().size(), 3);
}

TEST(AnotherPathActOrAnswerIsAnotherKind) {
  Log events;
  events.Add("/a");
  events.Add("/b");
  events.Add("/a", EACCES);
  events.Add("/a", ENOENT);
  events.Add("/a", 0, "file.write");
  CHECK_EQ(events.Lines().size(), 5);
  CHECK_EQ(events.log[0].refused(), 2);
}

TEST(WhatIsLeftBeforeItsSecondIsOverStaysKnown) {
  Log events;
  for (int i = 0; i < 100; ++i) events.Add("/" + std::to_string(i));
  events.log[0].Flush(false);
  for (int i = 0; i < 100; ++i) events.Add("/" + std::to_string(i));
  events.log[0].Flush(true);
  std::vector<std::string> lines = events.Lines();
  CHECK_EQ(Told(lines), 200);
  CHECK(lines.size() >= 100);
}

// Whatever a payload does, no act goes untold: more kinds than there is room for are one total.
TEST(MoreKindsThanThereIsRoomForAreCounted) {
  Log events;
  for (int i = 0; i < 6000; ++i) events.Add("/" + std::to_string(i));
  CHECK_EQ(events.Lines().size(), 4096);
  events.log[0].Flush(true);
  std::vector<std::string> lines = events.Lines();
  REQUIRE(lines.size() == 4097);
  CHECK(lines.back().find("file.various") != std::string::npos);
  CHECK_EQ(Told(lines), 6000);
}

TEST(AFloodOfRefusalsIsToldUpToItsBudgetAndCounted) {
  Log events;
  for (int i = 0; i < 3000; ++i) events.Add("/" + std::to_string(i), EACCES);
  // A burst, and a few more for each second that has gone by.
  size_t told = events.Lines().size();
  CHECK(told >= 1024 && told < 3000);
  CHECK_EQ(events.log[0].refused(), 3000);
  events.log[0].Flush(true);
  CHECK_EQ(Told(events.Lines()), 3000);
}

TEST(LongPathsTakeNoMoreRoomThanThereIs) {
  Log events;
  std::string folder(3500, 'x');
  for (int i = 0; i < 4096; ++i) events.Add("/" + folder + std::to_string(i));
  events.log[0].Flush(true);
  std::vector<std::string> lines = events.Lines();
  CHECK(lines.size() < 4096);
  CHECK_EQ(Told(lines), 4096);
}

CHECK_MAIN()
