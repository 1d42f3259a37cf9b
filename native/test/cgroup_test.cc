// The jail's own cgroup, on a host with cgroup v2 in which this user may make groups: really. The marks of what was
// left behind: on any file system that keeps them.
#include "cgroup/cgroup.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include <csignal>

#include "cgroup/group_file.h"
#include "cgroup/keeper.h"
#include "cgroup/parent.h"
#include "cgroup/stale.h"
#include "check.h"
#include "core/uapi.h"
#include "plan_builder.h"

namespace {

using qi::Cgroup;
using qi::UniqueFd;

constexpr char kMount[] = "/sys/fs/cgroup";

std::string OwnGroup() {
  char text[4096];
  if (qi::ReadGroupFile(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)) != 0) return "";
  for (char* line = text; *line != 0; line = qi::NextLine(line)) {
    if (strncmp(line, "0::/", 4) == 0) return std::string(line + 3, strcspn(line + 3, "\n"));
  }
  return "";
}

// A group of this test's own, below QI_TEST_CGROUP or the group it runs in, in which it may do as it likes.
class Field {
 public:
  Field() {
    struct statfs fs;
    if (statfs(kMount, &fs) != 0 || fs.f_type != 0x63677270) SKIP("this host has no cgroup v2");
    const char* given = getenv("QI_TEST_CGROUP");
    std::string parent = given != nullptr ? given : kMount + (OwnGroup() == "/" ? "" : OwnGroup());
    for (const char* controller : {"+memory", "+pids", "+cpu"})  // where it cannot be, it is seen below
      (void)qi::WriteGroupFile(AT_FDCWD, (parent + "/cgroup.subtree_control").c_str(), controller);
    path_ = parent + "/test-" + std::to_string(getpid());
    if (mkdir(path_.c_str(), 0755) != 0) SKIP("this user may make no cgroups");
    dir_.reset(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    char available[256] = "";
    (void)qi::ReadGroupFile(dir_.get(), "cgroup.controllers", available, sizeof(available));
    if (!qi::HasWord(available, "memory") || !qi::HasWord(available, "pids")) {
      (void)rmdir(path_.c_str());
      SKIP("the memory and pids controllers do not come down to this cgroup");
    }
  }
  ~Field() { CHECK_EQ(rmdir(path_.c_str()), 0); }

  const std::string& path() const { return path_; }
  int dir() const { return dir_.get(); }

 private:
  std::string path_;
  UniqueFd dir_;
};

// A plan, and the jail that reads it.
struct World {
  explicit World(const std::string& parent) {
    builder.plan().flags = qi::kPlanCgroupSubtree;
    builder.Set(&qi::Plan::cgroup_mount, kMount);
    builder.Set(&qi::Plan::cgroup_parent, parent);
    builder.plan().memory_max = 64u << 20;
    builder.plan().processes_max = 20;
  }

  // After this the plan stays as it is. The keeper's filter allows everything: what it needs is tested with the real
  // one.
  const qi::Jail& Jail() {
    static const sock_filter kAllow = {BPF_RET | BPF_K, 0, 0, 0x7fff0000};
    bytes = builder.Finish();
    bytes.resize((bytes.size() + 7) / 8 * 8);
    auto at = static_cast<uint32_t>(bytes.size());
    bytes.resize(at + sizeof(kAllow));
    memcpy(bytes.data() + at, &kAllow, sizeof(kAllow));
    auto* plan = reinterpret_cast<qi::Plan*>(bytes.data());
    plan->keeper_filter = {at, sizeof(kAllow)};
    plan->size = static_cast<uint32_t>(bytes.size());
    void* pages = mmap(nullptr, bytes.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(pages, bytes.data(), bytes.size());
    qi::Result r = qi::CheckPlan(static_cast<uint8_t*>(pages), bytes.size(), &jail.blob);
    CHECK_STREQ(r.detail, "");
    jail.plan = &qi::PlanOf(jail.blob);
    return jail;
  }

  qi_check::PlanBuilder builder;
  std::vector<uint8_t> bytes;
  qi::Jail jail;
};

std::string Show(const qi::Result& r) {
  return std::to_string(static_cast<int>(r.step)) + " " + std::to_string(r.error) + " " + r.detail;
}
#define CHECK_OK(result) CHECK_STREQ(Show(result), "0 0 ")

std::string Limit(const Cgroup& group, const char* name) {
  char text[256] = "";
  (void)qi::ReadGroupFile(group.dir(), name, text, sizeof(text));
  return std::string(text, strcspn(text, "\n"));
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::string FullPath(const Cgroup& group) { return std::string(kMount) + group.path(); }

// Ends by a signal only.
pid_t StartSleeper() {
  pid_t pid = fork();
  if (pid == 0)
    for (;;) pause();
  return pid;
}

int EndOf(pid_t pid) {
  int status = 0;
  return waitpid(pid, &status, 0) == pid ? status : -1;
}

// The keeper goes on after the process that it keeps for: as long as a machine may be slow.
bool GoneSoon(const std::string& path) {
  for (int i = 0; i < 3000 && Exists(path); ++i) usleep(10000);
  return !Exists(path);
}

}  // namespace

TEST(AGroupHasItsLimitsHoldsItsProcessesAndGoes) {
  Field field;
  World world(field.path());
  world.builder.plan().memory_threshold = 48u << 20;
  const qi::Jail& jail = world.Jail();
  Cgroup group;
  CHECK_OK(group.Make(jail));
  REQUIRE(group.made());
  CHECK_STREQ(Limit(group, "memory.max"), "67108864");
  CHECK_STREQ(Limit(group, "memory.high"), "50331648");
  CHECK_STREQ(Limit(group, "memory.oom.group"), "1");
  CHECK_STREQ(Limit(group, "pids.max"), "21");
  CHECK(group.files().memory_events && group.files().memory_current && group.files().events);
  CHECK_OK(group.StartKeeper(jail));
  CHECK_OK(group.AwaitKeeper());
  pid_t sleeper = StartSleeper();
  CHECK_OK(group.Enter(jail, sleeper));
  CHECK_OK(group.Enter(jail, sleeper));
  std::string path = FullPath(group);
  CHECK(Exists(path));
  group.Remove();
  CHECK(!Exists(path));
  CHECK_EQ(EndOf(sleeper), SIGKILL);
  CHECK(!group.made());
}

TEST(WithoutAKeeperItIsRemovedAllTheSame) {
  Field field;
  World world(field.path());
  Cgroup group;
  CHECK_OK(group.Make(world.Jail()));
  REQUIRE(group.made());
  pid_t sleeper = StartSleeper();
  CHECK_OK(group.Enter(world.jail, sleeper));
  std::string path = FullPath(group);
  group.Remove();
  CHECK(!Exists(path));
  CHECK_EQ(EndOf(sleeper), SIGKILL);
}

TEST(AProcessIsBornInIt) {
  Field field;
  World world(field.path());
  Cgroup group;
  CHECK_OK(group.Make(world.Jail()));
  REQUIRE(group.made());
  qi::uapi::CloneArgs args = {};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<uint64_t>(group.dir());
  long pid = syscall(qi::uapi::kClone3, &args, sizeof(args));
  if (pid == 0) {
    bool inside = OwnGroup() == group.path();
    bool unshared = unshare(CLONE_NEWCGROUP) == 0;  // root only
    _exit(!inside ? 1 : unshared && OwnGroup() != "/" ? 2 : 0);
  }
  CHECK(pid > 0);
  CHECK_EQ(EndOf(static_cast<pid_t>(pid)), 0);
  group.Remove();
}

TEST(AMakerThatIsKilledLeavesNothing) {
  Field field;
  int told[2];
  REQUIRE(pipe(told) == 0);
  pid_t maker = fork();
  if (maker == 0) {
    pid_t sleeper = StartSleeper();  // before: it closes nothing, and the keeper waits for the end of a socket
    World world(field.path());
    Cgroup group;
    bool ok = group.Make(world.Jail()).ok() && group.StartKeeper(world.jail).ok() && group.AwaitKeeper().ok();
    ok = ok && group.Enter(world.jail, sleeper).ok();
    std::string path = ok ? FullPath(group) : "";
    (void)!write(told[1], path.c_str(), path.size() + 1);
    raise(SIGKILL);
  }
  close(told[1]);
  char path[1024] = "";
  CHECK(read(told[0], path, sizeof(path)) > 1);
  CHECK_EQ(EndOf(maker), SIGKILL);
  CHECK_STREQ(std::string(path).substr(0, field.path().size()), field.path());
  CHECK(GoneSoon(path));
}

TEST(WhatAKilledKeeperLeftGoesWithTheNextLaunch) {
  Field field;
  World world(field.path());
  (void)world.Jail();
  CHECK_EQ(mkdirat(field.dir(), "qi-jail-00000001", 0755), 0);  // left: marked, locked by nobody, with a process
  CHECK_EQ(mkdirat(field.dir(), "qi-jail-00000002", 0755), 0);  // in use
  CHECK_EQ(mkdirat(field.dir(), "qi-jail-00000003", 0755), 0);  // not marked, with a process: somebody else's
  CHECK_EQ(mkdirat(field.dir(), "qi-jail-00000004", 0755), 0);  // its maker was killed at once
  UniqueFd left(openat(field.dir(), "qi-jail-00000001", O_RDONLY | O_DIRECTORY));
  UniqueFd used(openat(field.dir(), "qi-jail-00000002", O_RDONLY | O_DIRECTORY));
  UniqueFd other(openat(field.dir(), "qi-jail-00000003", O_RDONLY | O_DIRECTORY));
  CHECK_EQ(qi::LockAndMark(field.dir(), "qi-jail-00000001", left.get()), 0);
  CHECK_EQ(qi::LockAndMark(field.dir(), "qi-jail-00000002", used.get()), 0);
  pid_t sleeper = StartSleeper();
  pid_t stranger = StartSleeper();
  CHECK_EQ(qi::WriteGroupFile(left.get(), "cgroup.procs", std::to_string(sleeper).c_str()), 0);
  CHECK_EQ(qi::WriteGroupFile(other.get(), "cgroup.procs", std::to_string(stranger).c_str()), 0);
  // The lock is of the open file, which the sleeper has a copy of: it is gone when that is. Take it from both.
  CHECK_EQ(flock(left.get(), LOCK_UN), 0);
  Cgroup group;
  CHECK_OK(group.Make(world.jail));
  CHECK(!Exists(field.path() + "/qi-jail-00000001"));
  CHECK(Exists(field.path() + "/qi-jail-00000002"));
  CHECK(Exists(field.path() + "/qi-jail-00000003"));
  CHECK(!Exists(field.path() + "/qi-jail-00000004"));
  CHECK_EQ(EndOf(sleeper), SIGKILL);
  CHECK_EQ(waitpid(stranger, nullptr, WNOHANG), 0);
  kill(stranger, SIGKILL);
  CHECK_EQ(EndOf(stranger), SIGKILL);
  group.Remove();
  CHECK_EQ(unlinkat(field.dir(), "qi-jail-00000002", AT_REMOVEDIR), 0);
  CHECK_EQ(unlinkat(field.dir(), "qi-jail-00000003", AT_REMOVEDIR), 0);
}

// Sockets and a file in folders of its own; a keeper without a group, told of `names` in `at` and then asked for the
// end.
struct Told {
  explicit Told(mode_t mode = 0700) {
    char made[] = "/tmp/qi-keeper-XXXXXX";
    REQUIRE(mkdtemp(made) != nullptr);
    folder = made;
    for (const char* name : {"/a.sock", "/file.sock", "/socket", "/in/b.sock"}) Make(name);
    REQUIRE(chmod((folder + "/in").c_str(), mode) == 0);
  }
  ~Told() {
    for (const char* name : {"/a.sock", "/file.sock", "/socket", "/in/b.sock", "/in/c.sock"})
      (void)unlink((folder + name).c_str());
    CHECK_EQ(rmdir((folder + "/in").c_str()), 0);
    CHECK_EQ(rmdir(folder.c_str()), 0);
  }
  void Make(const char* name) const {
    std::string path = folder + name;
    (void)mkdir((folder + "/in").c_str(), 0700);
    mode_t type = strcmp(name, "/file.sock") == 0 ? S_IFREG : S_IFSOCK;
    REQUIRE(mknod(path.c_str(), type | 0600, 0) == 0);
  }
  void Tell(const char* at, std::initializer_list<const char*> names) const {
    World world(kMount);
    UniqueFd channel, fd(open((folder + at).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    pid_t pid = -1;
    CHECK_OK(qi::StartKeeper(world.Jail(), {}, -1, &channel, &pid));
    CHECK_OK(qi::AwaitKeeper(channel.get(), pid));
    for (const char* name : names) CHECK(qi::TellKeeper(channel.get(), fd.get(), name));
    channel.reset();
    CHECK_EQ(EndOf(pid), 0);
  }
  bool Has(const char* name) const { return Exists(folder + name); }

  std::string folder;
};

TEST(AKeeperRemovesTheControlSocketItIsToldOf) {
  Told told;
  told.Tell("/in", {"b.sock"});
  CHECK(!told.Has("/in/b.sock"));
}

TEST(AKeeperRemovesNothingElse) {
  Told told;
  for (const char* name : {"../a.sock", "in/b.sock", "file.sock", "socket", ".", "..", ".sock", ""})
    told.Tell(strncmp(name, "../", 3) == 0 ? "/in" : "/", {name});
  for (const char* name : {"/a.sock", "/in/b.sock", "/file.sock", "/socket"}) CHECK(told.Has(name));
}

TEST(AKeeperTakesOneName) {
  Told told;
  told.Make("/in/c.sock");
  told.Tell("/in", {"b.sock", "c.sock"});
  CHECK(!told.Has("/in/b.sock"));
  CHECK(told.Has("/in/c.sock"));
}

TEST(AKeeperRemovesNothingFromAFolderOfOthers) {
  for (mode_t mode : {0755, 0777, 01777, 0710}) {
    Told told(mode);
    told.Tell("/in", {"b.sock"});
    CHECK(told.Has("/in/b.sock"));
  }
}

TEST(TheLauncherGoesToALeafAndNobodyElseDoes) {
  Field field;
  std::string parent = field.path() + "/delegated";
  CHECK_EQ(qi::WriteGroupFile(field.dir(), "cgroup.subtree_control", "+memory"), 0);
  REQUIRE(mkdir(parent.c_str(), 0755) == 0);
  UniqueFd dir(open(parent.c_str(), O_RDONLY | O_DIRECTORY));
  pid_t launcher = StartSleeper();
  pid_t other = StartSleeper();
  for (pid_t pid : {launcher, other})
    CHECK_EQ(qi::WriteGroupFile(dir.get(), "cgroup.procs", std::to_string(pid).c_str()), 0);
  World world(parent);
  world.builder.plan().launcher_pid = static_cast<uint32_t>(launcher);
  Cgroup group;
  qi::Result r = group.Make(world.Jail());
  CHECK_EQ(r.step, qi::Step::kOpenCgroupParent);
  CHECK_EQ(r.error, EBUSY);
  CHECK(!group.made());
  CHECK(!Exists(parent + "/qi-jail-launcher"));
  kill(other, SIGKILL);
  CHECK_EQ(EndOf(other), SIGKILL);
  CHECK_OK(group.Make(world.jail));
  char text[64] = "";
  UniqueFd leaf(open((parent + "/qi-jail-launcher").c_str(), O_RDONLY | O_DIRECTORY));
  CHECK_EQ(qi::ReadGroupFile(leaf.get(), "cgroup.procs", text, sizeof(text)), 0);
  CHECK_STREQ(text, std::to_string(launcher) + "\n");
  group.Remove();
  kill(launcher, SIGKILL);
  CHECK_EQ(EndOf(launcher), SIGKILL);
  CHECK_EQ(rmdir((parent + "/qi-jail-launcher").c_str()), 0);
  CHECK_EQ(rmdir(parent.c_str()), 0);
}

TEST(AFailureNamesItsStepAndLeavesNothing) {
  Field field;
  {
    World world(field.path());
    world.builder.plan().cpu_quota_us = 1;  // the kernel takes 1000 at the least
    Cgroup group;
    qi::Result r = group.Make(world.Jail());
    CHECK(!r.ok() && !group.made());
    CHECK(r.step == qi::Step::kLimitCgroup || (r.step == qi::Step::kOpenCgroupParent && r.error == ENODEV));
  }
  for (const char* parent : {"/tmp", "/sys/fs/cgroup-not", "/sys/fs/cgroup/not-there"}) {
    World world(parent);
    Cgroup group;
    CHECK_EQ(group.Make(world.Jail()).step, qi::Step::kOpenCgroupParent);
  }
}

TEST(NamesAreRecognised) {
  char name[qi::kGroupNameSize];
  qi::RandomGroupName(name);
  CHECK(qi::IsGroupName(name));
  CHECK(qi::IsGroupName("qi-jail-0123abcd"));
  for (const char* other : {"", "qi-jail-", "qi-jail-0123abc", "qi-jail-0123abcde", "qi-jail-0123ABCD",
                            "qi-jail-launcher", "qi-jail-0123abcd.scope", "xqi-jail-0123abcd", "jail"})
    CHECK(!qi::IsGroupName(other));
}

TEST(OnlyWhatWasLeftByUsIsStale) {
  char folder[] = "/tmp/qi-stale-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  UniqueFd parent(open(folder, O_RDONLY | O_DIRECTORY));
  const char* names[] = {"qi-jail-00000001", "qi-jail-00000002", "qi-jail-00000003", "qi-jail-00000004", "other"};
  UniqueFd dirs[5];
  for (int i = 0; i < 5; ++i) {
    CHECK_EQ(mkdirat(parent.get(), names[i], 0755), 0);
    dirs[i].reset(openat(parent.get(), names[i], O_RDONLY | O_DIRECTORY));
  }
  CHECK_EQ(symlinkat(names[0], parent.get(), "qi-jail-00000005"), 0);
  bool marked = qi::LockAndMark(parent.get(), names[0], dirs[0].get()) == 0;
  if (marked) {
    CHECK(!qi::OpenStale(parent.get(), names[0]));  // in use
    CHECK_EQ(flock(dirs[0].get(), LOCK_UN), 0);
    CHECK(static_cast<bool>(qi::OpenStale(parent.get(), names[0])));  // left
    CHECK(!qi::OpenStale(parent.get(), "qi-jail-00000005"));          // a link to it
    CHECK(!qi::OpenStale(parent.get(), names[1]));                    // not marked
    CHECK_EQ(fsetxattr(dirs[2].get(), "user.qi-jail", "2", 1, 0), 0);
    CHECK(!qi::OpenStale(parent.get(), names[2]));  // marked otherwise
    CHECK_EQ(fsetxattr(dirs[4].get(), "user.qi-jail", "1", 1, 0), 0);
    CHECK(!qi::OpenStale(parent.get(), names[4]));  // not our kind of name
    CHECK_EQ(fsetxattr(dirs[3].get(), "user.qi-jail", "1", 1, 0), 0);
    CHECK(static_cast<bool>(qi::OpenStale(parent.get(), names[3])));
    if (geteuid() == 0) {
      CHECK_EQ(fchown(dirs[3].get(), 1234, 1234), 0);
      CHECK(!qi::OpenStale(parent.get(), names[3]));  // another user's
    }
  }
  CHECK_EQ(unlinkat(parent.get(), "qi-jail-00000005", 0), 0);
  for (const char* name : names) CHECK_EQ(unlinkat(parent.get(), name, AT_REMOVEDIR), 0);
  CHECK_EQ(rmdir(folder), 0);
  if (!marked) SKIP("the file system of /tmp keeps no user attributes");
}

TEST(WhatItsMakerCouldNotMarkIsRemovedWhenEmptyAndTheMakerSeesIt) {
  char folder[] = "/tmp/qi-stale-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  UniqueFd parent(open(folder, O_RDONLY | O_DIRECTORY));
  const char* names[] = {"qi-jail-00000001", "qi-jail-00000002", "qi-jail-00000003", "other"};
  UniqueFd dirs[4];
  for (int i = 0; i < 4; ++i) {
    CHECK_EQ(mkdirat(parent.get(), names[i], 0755), 0);
    dirs[i].reset(openat(parent.get(), names[i], O_RDONLY | O_DIRECTORY));
  }
  bool keeps = fsetxattr(dirs[3].get(), "user.qi-jail", "1", 1, 0) == 0;
  CHECK_EQ(mkdirat(dirs[1].get(), "something", 0755), 0);
  CHECK_EQ(flock(dirs[2].get(), LOCK_EX), 0);
  if (keeps) {
    CHECK_EQ(qi::RemoveStale(parent.get()), 1);
    CHECK(!Exists(std::string(folder) + "/" + names[0]));
    CHECK_EQ(qi::LockAndMark(parent.get(), names[0], dirs[0].get()), ENOENT);
    UniqueFd again(openat(parent.get(), names[2], O_RDONLY | O_DIRECTORY));
    CHECK_EQ(qi::LockAndMark(parent.get(), names[2], again.get()), EWOULDBLOCK);
    again.reset();
    CHECK_EQ(flock(dirs[2].get(), LOCK_UN), 0);
    CHECK_EQ(qi::RemoveStale(parent.get()), 1);
  }
  CHECK_EQ(unlinkat(dirs[1].get(), "something", AT_REMOVEDIR), 0);
  for (int i = keeps ? 3 : 0; i < 4; ++i) CHECK_EQ(unlinkat(parent.get(), names[i], AT_REMOVEDIR), 0);
  if (keeps) CHECK_EQ(unlinkat(parent.get(), names[1], AT_REMOVEDIR), 0);
  CHECK_EQ(rmdir(folder), 0);
  if (!keeps) SKIP("the file system of /tmp keeps no user attributes");
}

// Between its making and its mark is a moment in which the other launches may take a group for one that was left.
TEST(LaunchesAtOnceDoNotTakeEachOthersGroups) {
  Field field;
  World world(field.path());
  (void)world.Jail();
  pid_t cleaner = fork();
  if (cleaner == 0)
    for (;;) (void)qi::RemoveStale(field.dir());
  for (int i = 0; i < 200; ++i) {
    Cgroup group;
    CHECK_OK(group.Make(world.jail));
    CHECK(Exists(FullPath(group)));
    group.Remove();
  }
  kill(cleaner, SIGKILL);
  CHECK_EQ(EndOf(cleaner), SIGKILL);
  (void)qi::RemoveStale(field.dir());  // one that it may have been killed over
}

TEST(WordsAreWholeWords) {
  CHECK(qi::HasWord("cpu io memory\n", "cpu"));
  CHECK(qi::HasWord("cpuset cpu\n", "cpu"));
  CHECK(qi::HasWord("memory", "memory"));
  CHECK(!qi::HasWord("cpuset memory\n", "cpu"));
  CHECK(!qi::HasWord("", "io"));
}

CHECK_MAIN()
