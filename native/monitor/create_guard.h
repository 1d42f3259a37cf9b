// Write-denies on names that do not exist yet. A mount cannot cover them without leaving litter on the host, so in a
// grant that has such names Landlock gives the payload no right to create or rename, and every call that would is done
// here, on descriptors, if its name is not guarded. Letting a call go on is safe whatever its arguments turn into:
// where this guard matters, the kernel itself (Landlock) refuses it. Runs in: monitor.
#pragma once
#include <linux/seccomp.h>
#include <sys/types.h>

#include "core/fd.h"
#include "monitor/jail.h"
#include "monitor/target.h"

namespace qi {

struct Guarded {
  dev_t device;
  ino_t inode;
  const char* parent;
  const char* name;
  const char* rule;
};

struct CreateVerdict {
  enum Kind { kProceed, kRefused, kDone, kInjected } kind = kProceed;
  int error = 0;                     // kRefused: by us; kDone: what the call gave (0 = success)
  const char* rule = nullptr;        // kRefused
  const Guarded* guarded = nullptr;  // the name it was refused for, if for one
  int injected_value = 0;            // kInjected: the descriptor number in the payload
};

class CreateGuard {
 public:
  explicit CreateGuard(const Jail& jail) : jail_(jail) {}

  // Opens the guarded parents below the jail's root. Step kOpenJailRoot.
  Result Init(int root);

  CreateVerdict Decide(const seccomp_notif& request, const char* name, int listener);

  // The rule against a socket of that name, or null. Such a bind goes on: what comes to be by a race is a name without
  // content, and only in a grant below the private tmp, where Landlock allows sockets.
  const char* RuleOfSocket(pid_t tid, const char* path) const;

 private:
  struct Place {  // a directory and the one name in it that a call is about
    UniqueFd parent;
    char name[256] = {};
    bool guarded_grant = false;
  };

  // False when the kernel should say what is wrong with it.
  bool Locate(pid_t tid, int dirfd, uint64_t pointer, Place* place) const;
  bool Find(pid_t tid, int dirfd, const char* text, Place* place) const;
  bool InGuardedGrant(int fd) const;
  const Guarded* GuardOf(const Place& place) const;
  CreateVerdict Open(const seccomp_notif& request, const struct CreateCall& call, int listener);
  CreateVerdict Make(const seccomp_notif& request, const struct CreateCall& call, int listener);
  CreateVerdict Move(const seccomp_notif& request, const struct CreateCall& call, int listener);

  static constexpr size_t kMaxGuarded = 4096;
  const Jail& jail_;
  int root_ = -1;
  Guarded guarded_[kMaxGuarded];
  size_t guarded_count_ = 0;
  uint64_t grant_mounts_[kMaxGuarded];  // statx mount ids
  size_t grant_count_ = 0;
};

}  // namespace qi
