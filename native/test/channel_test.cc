#include "monitor/channel.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "check.h"

namespace {

int OpenDescriptors() {
  int count = 0;
  DIR* dir = opendir("/proc/self/fd");
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

struct Pair {
  qi::UniqueFd mine, theirs;
  Pair() {
    if (!qi::MakeChannel(&mine, &theirs)) qi_check::Fail(__FILE__, __LINE__, "MakeChannel");
  }
};

struct Text {
  char bytes[32];
};

}  // namespace

TEST(MessagesArriveWhole) {
  Pair pair;
  Text sent = {"hello"}, got = {};
  CHECK_EQ(qi::SendMessage(pair.theirs.get(), &sent, sizeof(sent)), 0);
  int sender = -1;
  CHECK_EQ(qi::ReceiveMessage(pair.mine.get(), &got, sizeof(got), nullptr, nullptr, &sender), 0);
  CHECK_STREQ(got.bytes, "hello");
  CHECK_EQ(sender, getpid());
}

TEST(AnotherLengthIsRefused) {
  Pair pair;
  Text text = {"hello"};
  char longer[64] = {};
  CHECK_EQ(qi::SendMessage(pair.theirs.get(), &text, sizeof(text) - 1), 0);
  CHECK_EQ(qi::ReceiveMessage(pair.mine.get(), &text, sizeof(text)), EPROTO);
  CHECK_EQ(qi::SendMessage(pair.theirs.get(), longer, sizeof(longer)), 0);
  CHECK_EQ(qi::ReceiveMessage(pair.mine.get(), &text, sizeof(text)), EPROTO);
}

TEST(EndOfFileIsTold) {
  Pair pair;
  Text text;
  pair.theirs.reset();
  CHECK_EQ(qi::ReceiveMessage(pair.mine.get(), &text, sizeof(text)), EPIPE);
  CHECK_EQ(qi::SendMessage(pair.mine.get(), &text, sizeof(text)), EPIPE);
}

TEST(DescriptorsArriveInOrderAndCloseOnExec) {
  Pair pair;
  Text text = {};
  int fds[3], got[3] = {-1, -1, -1};
  for (int i = 0; i < 3; ++i) fds[i] = open(i == 1 ? "/dev/null" : "/dev/zero", O_RDONLY);
  CHECK_EQ(qi::SendMessage(pair.theirs.get(), &text, sizeof(text), fds, 3), 0);
  size_t count = 3;
  CHECK_EQ(qi::ReceiveMessage(pair.mine.get(), &text, sizeof(text), got, &count), 0);
  CHECK_EQ(count, 3);
  for (int fd : got) CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  char byte;
  CHECK_EQ(read(got[0], &byte, 1), 1);
  CHECK_EQ(read(got[1], &byte, 1), 0);
  CHECK_EQ(read(got[2], &byte, 1), 1);
}

TEST(AsManyDescriptorsAsAMessageHolds) {
  Pair pair;
  Text text = {};
  int fds[qi::kGrantsPerMessage], got[qi::kGrantsPerMessage];
  for (int& fd : fds) fd = STDIN_FILENO;
  CHECK_EQ(qi::SendMessage(pair.theirs.get(), &text, sizeof(text), fds, qi::kGrantsPerMessage), 0);
  size_t count = qi::kGrantsPerMessage;
  CHECK_EQ(qi::ReceiveMessage(pair.mine.get(), &text, sizeof(text), got, &count), 0);
  CHECK_EQ(count, qi::kGrantsPerMessage);
}

TEST(DescriptorsNobodyAskedForAreClosed) {
  Pair pair;
  Text text = {};
  int fds[5], got[2];
  for (int& fd : fds) fd = open("/dev/null", O_RDONLY);
  int before = OpenDescriptors();
  for (size_t room : {0, 2}) {
    CHECK_EQ(qi::SendMessage(pair.theirs.get(), &text, sizeof(text), fds, 5), 0);
    size_t count = room;
    CHECK_EQ(qi::ReceiveMessage(pair.mine.get(), &text, sizeof(text), got, &count), 0);
    CHECK_EQ(count, room);
    for (size_t i = 0; i < count; ++i) close(got[i]);
    CHECK_EQ(OpenDescriptors(), before);
  }
}

TEST(DescriptorsWithABadMessageCanBeClosed) {
  Pair pair;
  Text text = {};
  int fd = open("/dev/null", O_RDONLY), got = -1;
  CHECK_EQ(qi::SendMessage(pair.theirs.get(), &text, 1, &fd, 1), 0);
  size_t count = 1;
  CHECK_EQ(qi::ReceiveMessage(pair.mine.get(), &text, sizeof(text), &got, &count), EPROTO);
  CHECK_EQ(count, 1);  // the caller owns it whatever the answer says
  CHECK(fcntl(got, F_GETFD) >= 0);
}

CHECK_MAIN()
