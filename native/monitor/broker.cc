#include "monitor/broker.h"

#include <arpa/inet.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <climits>
#include <cstddef>
#include <cstring>

#include "core/try.h"
#include "core/uapi.h"

namespace qi {
namespace {

// Terminal and console calls that act on what is outside the jail. The number is in a register: nothing can change it.
bool IsForbiddenIoctl(uint32_t command) {
  constexpr uint32_t kSti = 0x5412, kLinux = 0x541c, kCons = 0x541d, kSetLineDiscipline = 0x5423, kVhangup = 0x5437;
  uint32_t type = (command >> 8) & 0xff;
  bool console = type == 0x4b || type == 0x56;  // KD* and VT_* (linux/kd.h, linux/vt.h)
  // BTRFS_IOC_SNAP_CREATE, SNAP_DESTROY, SUBVOL_CREATE and their _V2 forms make and remove names past Landlock's hooks.
  uint32_t number = command & 0xff;
  bool subvolume =
      type == 0x94 && (number == 1 || number == 14 || number == 15 || number == 23 || number == 24 || number == 63);
  return console || subvolume || command == kSti || command == kLinux || command == kCons ||
         command == kSetLineDiscipline || command == kVhangup;
}

const SyscallRule* FindRule(const Jail& jail, int number) {
  Span<SyscallRule> rules = List(jail.blob, jail.plan->syscalls);
  size_t low = 0, high = rules.size;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (rules[middle].number == static_cast<uint32_t>(number)) return &rules[middle];
    if (rules[middle].number < static_cast<uint32_t>(number)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return nullptr;
}

// An address of the jail itself: its loopback, as ::ffff:127.0.0.1 too, or "any" (listening on it is listening on the
// loopback, there being nothing else; connecting to it is connecting to the loopback).
bool IsOwn(const Address& address, uint16_t* port) {
  if (address.family() == AF_INET && address.length >= sizeof(sockaddr_in)) {
    sockaddr_in in;
    memcpy(&in, &address.storage, sizeof(in));
    *port = ntohs(in.sin_port);
    uint32_t host = ntohl(in.sin_addr.s_addr);
    return host >> 24 == 127 || host == INADDR_ANY;
  }
  if (address.family() == AF_INET6 && address.length >= offsetof(sockaddr_in6, sin6_scope_id)) {
    sockaddr_in6 in6 = {};
    memcpy(&in6, &address.storage, offsetof(sockaddr_in6, sin6_scope_id));
    *port = ntohs(in6.sin6_port);
    bool mapped = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) && in6.sin6_addr.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr) || mapped;
  }
  return false;
}

bool IsInet(const Address& address) { return address.family() == AF_INET || address.family() == AF_INET6; }

constexpr uint16_t kDnsPort = 53;

}  // namespace

Result Broker::Init(int listener, pid_t payload) {
  listener_.reset(listener);
  QI_BEGIN(jail_, Step::kOpenJailRoot);
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/root", payload);
  root_.reset(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat st;
  if (!root_ || fstat(root_.get(), &st) != 0) return Fail(Step::kOpenJailRoot, errno, path);
  root_device_ = st.st_dev;
  return jail_.Has(kPlanGuardCreates) ? guard_.Init(root_.get()) : Ok();
}

bool Broker::Alive(uint64_t id) const { return ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0; }

bool Broker::Serve() {
  // A later kernel may write a longer struct than these headers know (SECCOMP_GET_NOTIF_SIZES); it must find zeroes.
  union {
    seccomp_notif request = {};
    char room[512];
  } message;
  memset(message.room, 0, sizeof(message.room));
  if (ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &message) != 0) return errno == ENOENT || errno == EINTR;
  const seccomp_notif& request = message.request;
  Answer answer;
  const SyscallRule* rule = FindRule(jail_, request.data.nr);
  Decide(request, rule, &answer);
  if (answer.refused && !answer.proceed && !answer.injected && answer.error != 0) {
    Refusal refusal;
    refusal.request = &request;
    refusal.syscall = rule != nullptr ? jail_.Text(rule->name) : "unknown";
    refusal.rule = answer.rule != nullptr ? answer.rule
                   : rule != nullptr      ? jail_.Text(rule->rule)
                                          : "unknown syscall number";
    refusal.action = answer.action;
    refusal.error = answer.error;
    refusal.path = answer.path;
    if (answer.address.readable) refusal.address = &answer.address;
    // Before the answer: afterwards the caller could be gone, and its number another's.
    if (Alive(request.id)) log_->Add(refusal);
  }
  Respond(request, answer);
  ++answered_;
  return true;
}

void Broker::Decide(const seccomp_notif& request, const SyscallRule* rule, Answer* answer) {
  if (rule == nullptr) {
    answer->error = ENOSYS;
    return;
  }
  answer->error = static_cast<int>(rule->error);
  switch (rule->verdict) {
    case Verdict::kRefuse:
    case Verdict::kSocket:
    case Verdict::kListen:
    case Verdict::kSocketIoctl:
      return;
    case Verdict::kContinue:
      answer->proceed = true;
      return;
    case Verdict::kIoctl:
      answer->proceed = !IsForbiddenIoctl(static_cast<uint32_t>(request.data.args[1]));
      return;
    case Verdict::kConnect:
    case Verdict::kBind:
    case Verdict::kSendTo:
      return DecideConnect(request, answer);
    case Verdict::kCreate: {
      CreateVerdict verdict = guard_.Decide(request, jail_.Text(rule->name), listener_.get());
      answer->proceed = verdict.kind == CreateVerdict::kProceed;
      answer->injected = verdict.kind == CreateVerdict::kInjected;
      answer->error = verdict.error;
      answer->value = verdict.injected_value;
      answer->rule = verdict.rule;
      if (verdict.guarded != nullptr) {
        snprintf(answer->path, sizeof(answer->path), "%s/%s", verdict.guarded->parent, verdict.guarded->name);
      }
      answer->refused = verdict.kind == CreateVerdict::kRefused;
      answer->action = "filesystem.refused";
      return;
    }
  }
}

// connect, bind and sendto with an address. What goes on by CONTINUE may be changed by the payload after this look,
// address and descriptor both, so a connect does not (an address of no family becomes the path of a host's socket): it
// is done here. bind and sendto go on: a name made or a datagram sent by them gets nowhere that this look would forbid.
void Broker::DecideConnect(const seccomp_notif& request, Answer* answer) {
  const auto& args = request.data.args;
  bool sendto = static_cast<uint32_t>(request.data.nr) == SYS_sendto;
  bool bind = static_cast<uint32_t>(request.data.nr) == SYS_bind;
  constexpr uint64_t kFastOpen = 0x20000000;
  if (sendto && (args[3] & kFastOpen) != 0) return;
  answer->address = ReadAddress(static_cast<pid_t>(request.pid), args[sendto ? 4 : 1], args[sendto ? 5 : 2]);
  const Address& address = answer->address;
  if (!Alive(request.id)) {
    answer->error = EINTR;
    return;
  }
  answer->action = "network.refused";
  if (address.family() == -1) {
    answer->error = address.readable || args[sendto ? 4 : 1] != 0 ? EFAULT : EINVAL;
  } else if (IsInet(address)) {
    DecideInet(address, answer);
    // Hosts outside may take a minute to answer, and qi-monitor cannot wait for them.
    if (jail_.Has(kPlanShareHostNetwork)) return;
  } else if (address.family() == AF_UNSPEC || address.family() == AF_NETLINK) {
    answer->proceed = true;  // dissolves an association; the filter lets only NETLINK_ROUTE sockets come to be
  } else if (address.family() == AF_UNIX && bind) {
    sockaddr_un un = {};
    memcpy(&un, &address.storage, address.length < sizeof(un) ? address.length : sizeof(un) - 1);
    pid_t tid = static_cast<pid_t>(request.pid);
    answer->rule =
        un.sun_path[0] != 0 && jail_.Has(kPlanGuardCreates) ? guard_.RuleOfSocket(tid, un.sun_path) : nullptr;
    answer->error = EACCES;
    answer->proceed = answer->rule == nullptr;
  } else if (address.family() == AF_UNIX && !sendto) {
    return ConnectUnix(request, address, answer);
  }
  if (answer->proceed && !bind && !sendto) {
    answer->proceed = false;
    ConnectHere(request, &address.storage, address.length, answer);
  }
}

void Broker::DecideInet(const Address& address, Answer* answer) {
  if (jail_.Has(kPlanShareHostNetwork)) {
    answer->proceed = true;
    return;
  }
  uint16_t port = 0;
  bool own = IsOwn(address, &port);
  if (own && port == kDnsPort) {
    answer->rule = "no network: names cannot be resolved";
  } else if (own && jail_.Has(kPlanInnerLoopback)) {
    answer->proceed = true;
    return;
  } else {
    answer->rule = own ? "no network, not even the jail's own loopback" : "no network";
  }
  answer->error = EACCES;
}

// Named sockets in a grant belong to programs outside; only those on the jail's own tmpfs may be reached. The address
// is the copy, the socket the payload's own by descriptor, the target an inode: nothing is left that could be swapped.
void Broker::ConnectUnix(const seccomp_notif& request, const Address& address, Answer* answer) {
  sockaddr_un un = {};
  memcpy(&un, &address.storage, address.length < sizeof(un) ? address.length : sizeof(un));
  size_t room = address.length > offsetof(sockaddr_un, sun_path) ? address.length - offsetof(sockaddr_un, sun_path) : 0;
  answer->error = EINVAL;
  answer->refused = true;
  if (room == 0 || address.length > sizeof(un)) return;
  pid_t tid = static_cast<pid_t>(request.pid);
  socklen_t length = address.length;
  UniqueFd target;
  if (un.sun_path[0] != 0) {
    char path[PATH_MAX * 2] = "";
    size_t base = 0;
    if (un.sun_path[0] != '/') {
      char link[64];
      snprintf(link, sizeof(link), "/proc/%d/cwd", tid);
      ssize_t n = readlink(link, path, PATH_MAX);
      if (n > 0) base = static_cast<size_t>(n);
      path[base++] = '/';
    }
    size_t n = strnlen(un.sun_path, room);
    memcpy(path + base, un.sun_path, n);
    path[base + n] = 0;
    target.reset(
        uapi::Openat2(root_.get(), path, O_PATH | O_CLOEXEC, uapi::kResolveInRoot | uapi::kResolveNoMagiclinks));
    struct stat st;
    if (!target || fstat(target.get(), &st) != 0) {
      answer->error = errno == ELOOP || errno == EACCES ? errno : ENOENT;
      answer->refused = false;
      return;
    }
    if (st.st_dev != root_device_) {
      answer->error = EACCES;
      answer->rule = "named sockets of programs outside the jail";
      return;
    }
    length = static_cast<socklen_t>(
        offsetof(sockaddr_un, sun_path) + 1 +
        static_cast<size_t>(snprintf(un.sun_path, sizeof(un.sun_path), "/proc/self/fd/%d", target.get())));
  } else if (jail_.Has(kPlanShareHostNetwork)) {
    answer->error = EACCES;
    answer->rule = "abstract sockets of the host";
    return;
  }
  ConnectHere(request, &un, length, answer);
}

// On a duplicate of the payload's descriptor and with the address as it was checked. The wait for a full backlog would
// be qi-monitor's, so there is none: EAGAIN from a local socket, as if it did not block; ETIMEDOUT from one of TCP.
void Broker::ConnectHere(const seccomp_notif& request, const void* address, socklen_t length, Answer* answer) {
  pid_t tid = static_cast<pid_t>(request.pid);
  constexpr unsigned kPidfdThread = O_EXCL;  // 6.9: a thread may have a descriptor table of its own
  UniqueFd pidfd(uapi::PidfdOpen(tid, kPidfdThread));
  if (!pidfd) pidfd.reset(uapi::PidfdOpen(ReadStatus(tid).pid, 0));
  UniqueFd socket(pidfd ? uapi::PidfdGetfd(pidfd.get(), static_cast<int>(request.data.args[0])) : -1);
  answer->refused = false;
  answer->error = errno;
  if (!socket || !Alive(request.id)) return;
  int flags = fcntl(socket.get(), F_GETFL);
  bool blocking = flags >= 0 && (flags & O_NONBLOCK) == 0;
  timeval before = {}, shortest = {0, 1};
  socklen_t size = sizeof(before);
  if (blocking) blocking = getsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &before, &size) == 0;
  if (blocking) (void)setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &shortest, sizeof(shortest));
  answer->error = connect(socket.get(), static_cast<const sockaddr*>(address), length) == 0 ? 0 : errno;
  if (blocking && answer->error == EINPROGRESS) {
    sockaddr none = {};
    (void)connect(socket.get(), &none, sizeof(none));  // AF_UNSPEC: gives the attempt up
    answer->error = ETIMEDOUT;
  }
  if (blocking) (void)setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &before, sizeof(before));
}

void Broker::Respond(const seccomp_notif& request, const Answer& answer) {
  if (answer.injected) return;
  union {
    seccomp_notif_resp response = {};
    char room[128];
  } message;
  memset(message.room, 0, sizeof(message.room));
  seccomp_notif_resp& response = message.response;
  response.id = request.id;
  if (answer.proceed) {
    response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  } else {
    response.error = -answer.error;
    response.val = answer.value;
  }
  (void)ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &message);  // ENOENT: the caller died meanwhile
}

}  // namespace qi
