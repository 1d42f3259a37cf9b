// Files where Landlock cannot say what is denied. Two jails need it, alone or both at once: one without a private root,
// whose writable grants hold protected names (Landlock can only add up what it grants), and one that denies names by
// pattern (kPlanMediate). Landlock gives the payload no right to change anything in such grants (mediated: no right at
// all), and every call that would change contents, names or attributes (mediated: open anything) by a path is done
// here, on descriptors, where the path leads to nothing that is denied. Attributes (chmod, chown, utimensat) Landlock
// does not know: those are never let go on. What is: calls whose names Landlock judges, whatever they turn into after a
// look. Runs in: monitor.
#pragma once
#include <linux/seccomp.h>
#include <sys/types.h>

#include <climits>

#include "core/fd.h"
#include "monitor/file_rules.h"
#include "monitor/jail.h"
#include "monitor/name_patterns.h"
#include "monitor/notify.h"

namespace qi {

struct ChangeCall;

class TreeGuard {
 public:
  TreeGuard(const Jail& jail, Notify* notify) : jail_(jail), notify_(notify), patterns_(jail), rules_(jail) {}

  // Step kMediate.
  Result Init(int root);

  // Verdict::kChange. `name`: of the call.
  void Decide(const seccomp_notif& request, const char* name, Answer* answer);

  // The directory and the name in it of a socket in the private temporary folder. Not open: it lies elsewhere.
  UniqueFd PlaceOfSocket(pid_t tid, const char* path, char* name, size_t room) const;
  bool IsTemporary(int fd) const;

 private:
  // kProtected: may be read; kDenied: by a pattern, not even that.
  enum class Zone { kOutside, kTemporary, kWritable, kProtected, kDenied };
  struct Place {  // a directory and the one name in it that a call is about
    UniqueFd parent;
    char name[256] = {};
    char path[PATH_MAX] = {};  // of the name
    Zone zone = Zone::kOutside;
    const char* rule = nullptr;
  };
  struct Object {  // what a path leads to
    UniqueFd fd;   // O_PATH, or the payload's own
    char path[PATH_MAX] = {};
    Zone zone = Zone::kOutside;
    const char* rule = nullptr;
  };

  Zone ZoneOf(const char* path, const char** rule) const;
  Zone ZoneOfName(const char* path, const char** rule) const;
  bool HoldsProtected(const char* path, const char** rule) const;
  bool Find(pid_t tid, int dirfd, const char* text, Place* place) const;
  // False: `answer` says so, or that the kernel decides.
  bool Locate(const seccomp_notif& request, int dirfd, int path, Place* place, Answer* answer) const;
  void RefuseHidden(int error, Answer* answer) const;
  // 0 or an errno.
  int Reach(pid_t tid, int dirfd, const char* text, bool follow, Object* object) const;
  int ReachDescriptor(pid_t tid, int fd, Object* object) const;
  int ReachArgument(const seccomp_notif& request, const ChangeCall& call, unsigned flags, Object* object) const;

  void Open(const seccomp_notif& request, const ChangeCall& call, Answer* answer);
  void OpenExisting(const seccomp_notif& request, const Object& object, int flags, Answer* answer);
  void Make(const seccomp_notif& request, const ChangeCall& call, Answer* answer);
  void Remove(const seccomp_notif& request, const ChangeCall& call, Answer* answer);
  void Move(const seccomp_notif& request, const ChangeCall& call, Answer* answer);
  void Alter(const seccomp_notif& request, const ChangeCall& call, Answer* answer);
  void Watch(const seccomp_notif& request, Answer* answer);
  void Execute(const seccomp_notif& request, const ChangeCall& call, Answer* answer);
  bool MayRead(const Object& object) const;
  bool Withheld(const Object& object) const;
  bool OwnRoot() const { return !jail_.Has(kPlanWithoutNamespaces); }
  void Refuse(const char* path, const char* rule, Answer* answer, int error = EACCES) const;
  bool Protects(const Place& place, bool moves, Answer* answer) const;

  const Jail& jail_;
  Notify* notify_;
  NamePatterns patterns_;
  FileRules rules_;
  int root_ = -1;
  dev_t root_device_ = 0;
};

}  // namespace qi
