// The answers to the payload's refused calls, by the seccomp notify descriptor. seccomp_unotify(2). Runs in: monitor.
#pragma once
#include <linux/seccomp.h>

#include "core/fd.h"
#include "monitor/decode.h"
#include "network/name.h"

namespace qi {

struct Answer {
  bool proceed = false;  // SECCOMP_USER_NOTIF_FLAG_CONTINUE
  int error = 0;
  int64_t value = 0;
  bool injected = false;  // already answered by ADDFD
  bool deferred = false;  // answered later
  bool refused = true;    // an error of ours, to be recorded; else the kernel's own answer to an act done here
  const char* action = "syscall.refused";
  const char* rule = nullptr;  // over the plan's
  // Permissive: what is let through although `rule` is against it, with the errno that it would have had. 0: nothing
  // is.
  int would_be = 0;
  Address address;       // as it was decided about
  Name host;             // the name that produced it, if one did
  char path[1024] = "";  // of a guarded name, cut

  void Done(int with_error) {
    refused = false;
    proceed = false;
    error = with_error;
  }
  // Only records; what happens is for the caller to do.
  void Permit(int with_error, const char* why) {
    would_be = with_error;
    rule = why;
  }
  void Refuse(int with_error, const char* why) {
    refused = true;
    proceed = false;
    error = with_error;
    rule = why;
    would_be = 0;
  }
};

class Notify {
 public:
  void Take(int listener);
  int fd() const { return listener_.get(); }

  // False once the caller was killed or (before 5.19) interrupted: what was read of it may be another's.
  bool Alive(uint64_t id) const;

  void Respond(uint64_t id, const Answer& answer);

  // Makes `fd` a descriptor of the caller and its number the call's result.
  void Inject(uint64_t id, int fd, bool close_on_exec, Answer* answer);

  // Puts `fd` in the place of the caller's descriptor `number`. Returns 0 or an errno.
  int Replace(uint64_t id, int fd, int number, bool close_on_exec);

 private:
  UniqueFd listener_;
};

}  // namespace qi
