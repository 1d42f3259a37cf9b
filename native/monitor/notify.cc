#include "monitor/notify.h"

#include <sys/ioctl.h>

#include <cstring>

#include "core/uapi.h"

namespace qi {
namespace {

// linux/seccomp.h
constexpr unsigned long kNotifSetFlags = SECCOMP_IOW(4, uint64_t);
constexpr uint64_t kSyncWakeUp = 1;

}  // namespace

void Notify::Take(int listener) {
  listener_.reset(listener);
  // The caller sleeps until it is answered, so its processor is free for us: woken there (6.6) a call takes a fifth
  // less.
  (void)ioctl(listener, kNotifSetFlags, kSyncWakeUp);  // older kernels wake us anywhere
}

bool Notify::Alive(uint64_t id) const { return ioctl(fd(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0; }

void Notify::Respond(uint64_t id, const Answer& answer) {
  if (answer.injected || answer.deferred) return;
  union {
    seccomp_notif_resp response = {};
    char room[128];
  } message;
  memset(message.room, 0, sizeof(message.room));
  seccomp_notif_resp& response = message.response;
  response.id = id;
  if (answer.proceed) {
    response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  } else {
    response.error = -answer.error;
    response.val = answer.value;
  }
  (void)ioctl(fd(), SECCOMP_IOCTL_NOTIF_SEND, &message);  // ENOENT: the caller died meanwhile
}

void Notify::Inject(uint64_t id, int source, bool close_on_exec, Answer* answer) {
  seccomp_notif_addfd add = {};
  add.id = id;
  add.flags = SECCOMP_ADDFD_FLAG_SEND;
  add.srcfd = static_cast<uint32_t>(source);
  add.newfd_flags = close_on_exec ? static_cast<uint32_t>(O_CLOEXEC) : 0;
  answer->Done(0);
  if (ioctl(fd(), SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0) {
    answer->injected = true;
    return;
  }
  if (errno != EINVAL) return answer->Done(errno);  // EMFILE is the caller's own limit
  add.flags = 0;                                    // before 5.14: two steps
  int number = ioctl(fd(), SECCOMP_IOCTL_NOTIF_ADDFD, &add);
  if (number < 0) return answer->Done(errno);
  answer->value = number;
}

int Notify::Replace(uint64_t id, int source, int number, bool close_on_exec) {
  seccomp_notif_addfd add = {};
  add.id = id;
  add.flags = SECCOMP_ADDFD_FLAG_SETFD;
  add.srcfd = static_cast<uint32_t>(source);
  add.newfd = static_cast<uint32_t>(number);
  add.newfd_flags = close_on_exec ? static_cast<uint32_t>(O_CLOEXEC) : 0;
  return ioctl(fd(), SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0 ? 0 : errno;
}

}  // namespace qi
