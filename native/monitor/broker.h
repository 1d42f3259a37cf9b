// Answers the calls that the payload's filter passes up: copies what it needs once, decides on the copy, and either
// refuses, does the act itself on a descriptor, or lets the call go on where nothing the payload can still change could
// turn it into something else. seccomp_unotify(2). Runs in: monitor.
#pragma once
#include <linux/seccomp.h>

#include "core/fd.h"
#include "monitor/create_guard.h"
#include "monitor/decode.h"
#include "monitor/refusals.h"

namespace qi {

class Broker {
 public:
  Broker(const Jail& jail, RefusalLog* log) : jail_(jail), log_(log), guard_(jail) {}

  // `listener`: the notify descriptor. `payload`: any process of the jail, to open its root. Step kOpenJailRoot.
  Result Init(int listener, pid_t payload);

  // Answers every call that waits. False when nobody is left under the filter.
  bool Serve();

  int listener() const { return listener_.get(); }
  uint64_t answered() const { return answered_; }

 private:
  struct Answer {
    bool proceed = false;  // SECCOMP_USER_NOTIF_FLAG_CONTINUE
    int error = 0;
    int64_t value = 0;
    bool injected = false;  // already answered by ADDFD
    bool refused = true;    // an error of ours, to be recorded; else the kernel's own answer to an act done here
    const char* action = "syscall.refused";
    const char* rule = nullptr;  // over the plan's
    Address address;             // as it was decided about
    char path[1024] = "";        // of a guarded name, cut
  };

  bool Alive(uint64_t id) const;
  void Decide(const seccomp_notif& request, const SyscallRule* rule, Answer* answer);
  void DecideConnect(const seccomp_notif& request, Answer* answer);
  void DecideInet(const Address& address, Answer* answer);
  void ConnectUnix(const seccomp_notif& request, const Address& address, Answer* answer);
  void ConnectHere(const seccomp_notif& request, const void* address, socklen_t length, Answer* answer);
  void Respond(const seccomp_notif& request, const Answer& answer);

  const Jail& jail_;
  RefusalLog* log_;
  CreateGuard guard_;
  UniqueFd listener_;
  UniqueFd root_;  // the jail's root, O_PATH
  dev_t root_device_ = 0;
  uint64_t answered_ = 0;
};

}  // namespace qi
