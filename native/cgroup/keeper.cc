#include "cgroup/keeper.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>

#include "core/try.h"
#include "monitor/channel.h"
#include "monitor/helper.h"
#include "monitor/privileges.h"

namespace qi {
namespace {

constexpr Step kStep = Step::kStartKeeper;
constexpr int kAskMs = 5000;

// A plain user's keeper needs none. Root's does where not even the owner may write to the parent, as to the root of the
// hierarchy (mode 0555), and, before cgroup.kill, to end processes of the payload's user. What it could do with them
// beyond that, its filter denies: no open, no signal but KILL, no unlink but of empty folders, and, for a run without
// a host, of files: there IsControlSocket says which.
uint64_t NeededCapabilities(const GroupEnd& group) {
  struct stat st;
  if (group.parent < 0) return 0;
  bool owner = fstat(group.parent, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 0300) == 0300;
  uint64_t keep = owner ? 0 : uint64_t{1} << CAP_DAC_OVERRIDE;
  return group.kill >= 0 ? keep : keep | uint64_t{1} << CAP_KILL;
}

Result Confine(Jail jail, const GroupEnd& group) {
  Plan rest;
  QI_TRY(ForgetPlan(kStep, &jail, &rest, &Plan::keeper_filter));
  QI_TRY(DropCapabilities(jail, kStep, kStep, NeededCapabilities(group)));
  QI_TRY(SetNoNewPrivs(jail, kStep));
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Fail(kStep, errno, "dumpable");
  if (group.parent >= 0 && faccessat(group.parent, ".", W_OK | X_OK, 0) != 0)
    return Fail(kStep, errno, "may not remove the group");
  return InstallFilter(jail, kStep, jail.plan->keeper_filter, nullptr);
}

Result Prepare(const Jail& jail, const GroupEnd& group, int lock, int channel) {
  QI_TRY(Detach(kStep));
  int keep[6] = {};
  size_t count = 0;
  for (int fd : {channel, lock, group.parent, group.procs, group.events, group.kill}) {
    if (fd >= 0) keep[count++] = fd;
  }
  QI_TRY(KeepOnly(kStep, keep, count));
  return Confine(jail, group);
}

// The name of a control socket that is to go as well; its folder comes along.
struct Leftover {
  char name[80] = "";
};

// Until qi-monitor asks for the end, by a byte, or is gone. It tells of one name at most, and does so before it is
// confined: whatever comes after that is the end too, so that one that was taken over has no name to give.
UniqueFd AwaitEnd(int channel, Leftover* leftover) {
  int fd = -1;
  size_t count = 1;
  int error = ReceiveMessage(channel, leftover, sizeof(*leftover), &fd, &count);
  UniqueFd folder(count == 1 ? fd : -1);
  if (error != 0 || !folder) return {};
  char word;
  (void)ReceiveMessage(channel, &word, sizeof(word));
  return folder;
}

bool IsSocketName(const Leftover& leftover) {
  constexpr char kSuffix[] = ".sock";
  constexpr size_t kSuffixLength = sizeof(kSuffix) - 1;
  size_t length = strnlen(leftover.name, sizeof(leftover.name));
  return length > kSuffixLength && length < sizeof(leftover.name) && strchr(leftover.name, '/') == nullptr &&
         strcmp(leftover.name + length - kSuffixLength, kSuffix) == 0;
}

// Only what a ControlServer may have made: root's keeper could unlink anything else for a qi-monitor that was taken
// over before it had told of its name.
bool IsControlSocket(int folder, const Leftover& leftover, uid_t owner) {
  struct stat in, st;
  return IsSocketName(leftover) && fstat(folder, &in) == 0 && S_ISDIR(in.st_mode) && in.st_uid == owner &&
         (in.st_mode & 0777) == 0700 && fstatat(folder, leftover.name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISSOCK(st.st_mode);
}

[[noreturn]] void RunKeeper(const Jail& jail, GroupEnd group, int lock, int channel) {
  uid_t owner = geteuid();
  Result r = Prepare(jail, group, lock, channel);
  ReportReady(channel, r);
  if (!r.ok()) _exit(125);
  Leftover leftover;
  UniqueFd folder = AwaitEnd(channel, &leftover);
  int error = group.parent >= 0 ? EndGroup(group, -1) : 0;
  if (folder && IsControlSocket(folder.get(), leftover, owner))
    (void)unlinkat(folder.get(), leftover.name, 0);   // a launch after us removes what is dead
  if (error == 0) (void)SendMessage(channel, "", 1);  // EPIPE: nobody is left to tell
  _exit(0);
}

}  // namespace

Result StartKeeper(const Jail& jail, const GroupEnd& group, int lock, UniqueFd* channel, pid_t* pid) {
  QI_BEGIN(jail, kStep);
  UniqueFd mine, theirs;
  if (!MakeChannel(&mine, &theirs)) return Fail(kStep, errno, "channel");
  pid_t child = fork();
  if (child < 0) return Fail(kStep, errno, "fork");
  if (child == 0) RunKeeper(jail, group, lock, theirs.release());
  theirs.reset();  // or its end of file would never be seen
  *channel = std::move(mine);
  *pid = child;
  return Ok();
}

Result AwaitKeeper(int channel, pid_t pid) { return AwaitReady(channel, kStep, pid); }

bool TellKeeper(int channel, int folder, const char* name) {
  Leftover leftover;
  size_t length = strlen(name);
  if (length >= sizeof(leftover.name)) return false;
  memcpy(leftover.name, name, length);
  return SendMessage(channel, &leftover, sizeof(leftover), &folder, 1) == 0;
}

bool AskKeeper(int channel) {
  char word = 1;
  return SendMessage(channel, &word, 1) == 0;
}

void AwaitKeeperEnd(int channel, pid_t pid) {
  pollfd answer = {channel, POLLIN, 0};
  if (RetryEintr([&] { return poll(&answer, 1, kAskMs); }) != 1) return;
  (void)RetryEintr([&] { return waitpid(pid, nullptr, 0); });  // it answered, or ended: either way there is no wait
}

}  // namespace qi
