// What signs kept plans: whatever lies in its place, the next who asks gets a whole one, and all who ask get the same.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <dirent.h>

#include <set>

#include "cache/secret.h"
#include "check.h"

namespace {

using qi::UniqueFd;

struct Folder {
  char path[32] = "/tmp/qi-secret-test-XXXXXX";
  UniqueFd fd;

  Folder() {
    if (mkdtemp(path) == nullptr) exit(qi_check::kFailed);
    fd.reset(open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC));
  }

  ~Folder() {
    for (const std::string& name : Names()) {
      if (unlinkat(fd.get(), name.c_str(), 0) != 0) (void)unlinkat(fd.get(), name.c_str(), AT_REMOVEDIR);
    }
    (void)rmdir(path);
  }

  std::set<std::string> Names() const {
    std::set<std::string> names;
    DIR* folder = opendir(path);
    while (const dirent* one = readdir(folder)) names.insert(one->d_name);
    closedir(folder);
    names.erase(".");
    names.erase("..");
    return names;
  }

  void Put(const char* name, const std::string& content, mode_t mode = 0600) const {
    UniqueFd file(openat(fd.get(), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (qi::WriteAll(file.get(), content.data(), content.size()) != 0) exit(qi_check::kFailed);
    (void)fchmod(file.get(), mode);
  }

  std::string Read() const {
    qi::Secret secret;
    return qi::ReadSecret(fd.get(), secret) ? std::string(secret, secret + sizeof(secret)) : "";
  }

  std::string Make() const {
    qi::Secret secret;
    return qi::MakeSecret(fd.get(), secret) ? std::string(secret, secret + sizeof(secret)) : "";
  }
};

const std::string kWhole(qi::kSipKeyBytes, 'k');
const std::set<std::string> kOnly = {"cache-key"};

// One of its own, which is read from then on, and nothing beside it.
void CheckMadeAnew(const Folder& folder) {
  CHECK_STREQ(folder.Read(), "");
  std::string made = folder.Make();
  CHECK(made.size() == qi::kSipKeyBytes && made != kWhole);
  CHECK(folder.Read() == made && folder.Make() == made);
  CHECK(folder.Names() == kOnly);
  struct stat st;
  CHECK(fstatat(folder.fd.get(), "cache-key", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mode == (S_IFREG | 0600));
}

}  // namespace

TEST(IsMadeWhereItIsMissing) {
  CheckMadeAnew(Folder());
  CHECK_STREQ(Folder().Read(), "");
}

TEST(IsMadeWhateverTheUmaskSays) {
  umask(0777);
  CheckMadeAnew(Folder());
}

TEST(StaysAsItIs) {
  Folder folder;
  folder.Put("cache-key", kWhole, 0400);
  CHECK_STREQ(folder.Read(), kWhole);
  CHECK_STREQ(folder.Make(), kWhole);
}

TEST(IsMadeAnewWhereItIsDamaged) {
  for (const std::string& content : {std::string(), std::string("short"), kWhole + "more"}) {
    Folder folder;
    folder.Put("cache-key", content);
    CheckMadeAnew(folder);
  }
  for (mode_t mode : {0640, 0604, 0666}) {
    Folder folder;
    folder.Put("cache-key", kWhole, mode);
    CheckMadeAnew(folder);
  }
}

TEST(IsMadeAnewWhereSomethingElseIs) {
  Folder link, nowhere, deeper, pipe;
  link.Put("elsewhere", kWhole);
  CHECK(symlinkat("elsewhere", link.fd.get(), "cache-key") == 0);
  CHECK_STREQ(link.Read(), "");
  CHECK(link.Make() != kWhole && link.Names().size() == 2);
  link.Put("elsewhere", "other");  // which it does not lead to any more
  CHECK(link.Read().size() == qi::kSipKeyBytes);
  CHECK(symlinkat("/nowhere/at/all", nowhere.fd.get(), "cache-key") == 0);
  CheckMadeAnew(nowhere);
  CHECK(mkdirat(deeper.fd.get(), "cache-key", 0700) == 0);
  CheckMadeAnew(deeper);
  CHECK(mkfifoat(pipe.fd.get(), "cache-key", 0600) == 0);
  CheckMadeAnew(pipe);
}

TEST(IsMadeAnewWhereItIsSomebodyElses) {
  if (geteuid() != 0) SKIP("needs root");
  Folder folder;
  folder.Put("cache-key", kWhole);
  CHECK(fchownat(folder.fd.get(), "cache-key", 61234, 61234, 0) == 0);
  CheckMadeAnew(folder);
}

TEST(TakesNothingOfWhoWasKilled) {
  Folder folder;
  folder.Put("cache-key.new", kWhole);
  CheckMadeAnew(folder);
}

TEST(IsNotWaitedForWhileSomebodyElseMakesIt) {
  Folder folder;
  UniqueFd other(open(folder.path, O_DIRECTORY | O_RDONLY | O_CLOEXEC));
  CHECK(flock(other.get(), LOCK_EX) == 0);
  CHECK_STREQ(folder.Make(), "");
  CHECK(folder.Names().empty());
  other.reset();
  CHECK(folder.Make().size() == qi::kSipKeyBytes);
}

TEST(LeavesNothingWhereItCannotBeWritten) {
  Folder folder;
  struct rlimit none = {0, 0};
  signal(SIGXFSZ, SIG_IGN);
  CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
  CHECK_STREQ(folder.Make(), "");
  CHECK(folder.Names().empty());
}

// Each in a process of its own, as launches are: who gets one has the one that all have from then on.
TEST(IsOneForAllWhoMakeItAtOnce) {
  for (int round = 0; round < 50; ++round) {
    Folder folder;
    if (round % 2 == 0) folder.Put("cache-key", "damaged");
    int started[2], answers[2];
    CHECK(pipe(started) == 0 && pipe(answers) == 0);
    for (int i = 0; i < 8; ++i) {
      if (fork() != 0) continue;
      close(started[1]);
      char none;
      (void)!read(started[0], &none, 1);
      UniqueFd own(open(folder.path, O_DIRECTORY | O_RDONLY | O_CLOEXEC));
      qi::Secret secret;
      if (qi::MakeSecret(own.get(), secret)) (void)!write(answers[1], secret, sizeof(secret));
      _exit(0);
    }
    close(started[1]);
    close(answers[1]);
    while (wait(nullptr) > 0) continue;
    std::string whole = folder.Read();
    int got = 0;
    for (char secret[qi::kSipKeyBytes]; read(answers[0], secret, sizeof(secret)) == sizeof(secret); ++got) {
      CHECK(std::string(secret, sizeof(secret)) == whole);
    }
    CHECK(got >= 1 && folder.Names() == kOnly);
    close(started[0]);
    close(answers[0]);
  }
}

CHECK_MAIN()
