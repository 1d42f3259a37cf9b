// Tells what the payload does to files, or is refused. The calls go on as they are: the kernel decides, and this says
// what it will decide, from a copy of the path, the jail's tree, and the rules of the profile. Nothing depends on it.
// Runs in: monitor.
#pragma once
#include <linux/seccomp.h>

#include "monitor/file_calls.h"
#include "monitor/file_log.h"
#include "monitor/file_paths.h"
#include "monitor/file_rules.h"
#include "monitor/host_tree.h"
#include "monitor/notify.h"

namespace qi {

class FileObserver {
 public:
  FileObserver(const Jail& jail, const Notify* notify, EventWriter* events)
      : jail_(jail), notify_(notify), rules_(jail), log_(events) {}

  // Before qi-monitor is confined.
  void Prepare();
  void SetRoot(int root) { paths_.SetRoot(root); }

  // True when the filter would have let the call go on, had it not been asked to pass it up. By registers alone.
  bool Passes(const seccomp_notif& request) const;

  // Before anything is done about the call: what it wants, and what will come of it.
  void Look(const seccomp_notif& request, const SyscallRule& rule);
  // Before it is answered with `answer`: tells of it.
  void Tell(const seccomp_notif& request, const SyscallRule& rule, const Answer& answer);

  FileLog* log() { return &log_; }

 private:
  // What a call wants, and what comes of it.
  struct Act {
    const FileCall* call = nullptr;
    pid_t tid = 0;
    unsigned flags = 0;
    mode_t mode = 0;
    const char* action = nullptr;  // null: nothing to tell
    uint32_t access = 0;           // kFileAccess*
    int error = 0;
    bool is_hidden = false;  // the host has it, or may have it; the jail has not
    bool is_barred = false;
    FilePath file;
    FilePath to;
    FilePath* told = nullptr;  // which of the two the rule is about
  };

  bool Read(const seccomp_notif& request, Act* act, int dirfd, int path, unsigned flags, bool follow, FilePath* found);
  void Judge(const seccomp_notif& request, Act* act);
  void JudgeOpen(const seccomp_notif& request, Act* act);
  void JudgeExisting(Act* act, int mode, uint64_t landlock);
  void JudgeNew(Act* act, FilePath* place, uint64_t landlock);
  void JudgeGone(Act* act, uint64_t landlock);
  void JudgeMove(const seccomp_notif& request, Act* act);
  void JudgeAttributes(Act* act);
  void LookAtHost(Act* act, FilePath* place, bool follow);
  void LookAtHostFolder(Act* act, FilePath* place);
  void Write(const seccomp_notif& request, const char* name, Act* act);

  const Jail& jail_;
  const Notify* notify_;
  FileRules rules_;
  FilePaths paths_;
  HostTree host_;
  FileLog log_;
  Act act_;  // of the call that is being answered
};

}  // namespace qi
