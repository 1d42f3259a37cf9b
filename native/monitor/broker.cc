#include "monitor/broker.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "core/try.h"
#include "core/uapi.h"
#include "monitor/imported.h"
#include "monitor/socket_facts.h"
#include "monitor/target.h"
#include "network/address.h"

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

// What a socket tells of its network's interfaces (netdevice(7), wireless extensions). A standard stream is often a
// socket of the host, and a descriptor can be exchanged after a look at it, so it is refused whatever is asked.
bool IsInterfaceIoctl(uint32_t command) {
  uint32_t low = command & 0xffff;
  return (low >= 0x890b && low <= 0x89ff) || low >> 8 == 0x8b;
}

// For the event alone: another thread may exchange the descriptor meanwhile.
const char* ProtocolOf(const seccomp_notif& request, const Address& address) {
  if (address.family() != AF_INET && address.family() != AF_INET6) return "";
  UniqueFd socket = Duplicate(static_cast<pid_t>(request.pid), static_cast<int>(request.data.args[0]));
  int type = SocketOption(socket.get(), SOL_SOCKET, SO_TYPE);
  return type == SOCK_STREAM ? "tcp" : type == SOCK_DGRAM ? "udp" : "";
}

// FIOSETOWN, SIOCSPGRP: whom the kernel signals when a descriptor is ready, be it in the jail or not.
bool IsOwnerIoctl(uint32_t command) { return command == 0x8901 || command == 0x8902; }

// What file systems let the owner change on a file opened for reading (flags, project, verity): Landlock does not know
// it, and without a mount of ours nothing is read-only. Whole families, but for their questions, and for FICLONE and
// FICLONERANGE, which take a file opened for writing.
bool IsAttributeIoctl(uint32_t command) {
  uint32_t type = (command >> 8) & 0xff, number = command & 0xff;
  constexpr uint32_t kGetFlags = 0x80086601, kGetXattr = 0x801c581f;
  if (command == kGetFlags || command == kGetXattr) return false;
  return type == 'f' || type == 'X' || type == 'v' || (type == 0x94 && number != 9 && number != 13);
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

constexpr uint16_t kDnsPort = 53;

}  // namespace

Result Broker::Prepare() {
  files_.Prepare();
  network_.NoteStreams();
  if (!PrepareConnects() || !live_.Init() || !pending_.Init()) return Fail(Step::kOpenChannels, errno, "epoll");
  return unix_.Pin();
}

Result Broker::Init(int listener, pid_t payload, pid_t init) {
  notify_.Take(listener);
  QI_BEGIN(jail_, Step::kOpenJailRoot);
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/root", payload);
  root_.reset(openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat st;
  if (!root_ || fstat(root_.get(), &st) != 0) return Fail(Step::kOpenJailRoot, errno, path);
  unix_.SetRoot(root_.get(), st.st_dev, jail_.Has(kPlanWithoutNamespaces) ? &tree_ : nullptr);
  hosts_.SetRoot(root_.get());
  files_.SetRoot(root_.get());
  if (jail_.Has(kPlanWithoutNamespaces) || jail_.Has(kPlanMediate)) QI_TRY(tree_.Init(root_.get()));
  if (jail_.Has(kPlanWithoutNamespaces)) return InitGuards(payload, init);
  return jail_.Has(kPlanGuardCreates) ? guard_.Init(root_.get()) : Ok();
}

// Without a user namespace of its own qi-monitor may look into the payload only as far as the host lets processes of
// one user: asked before anything depends on it. The payload has our image still.
Result Broker::InitGuards(pid_t payload, pid_t init) {
  QI_BEGIN(jail_, Step::kReachPayload);
  static const char kSample[] = "sample";
  char copy[sizeof(kSample)] = "";
  if (ReadMemory(payload, reinterpret_cast<uint64_t>(kSample), copy, sizeof(copy)) != sizeof(copy))
    return Fail(Step::kReachPayload, errno, "process_vm_readv");
  if (!Duplicate(payload, STDIN_FILENO)) return Fail(Step::kReachPayload, errno, "pidfd_getfd");
  return processes_.Init(init);
}

bool Broker::Serve() {
  // A later kernel may write a longer struct than these headers know (SECCOMP_GET_NOTIF_SIZES); it must find zeroes.
  union {
    seccomp_notif request = {};
    char room[512];
  } message;
  memset(message.room, 0, sizeof(message.room));
  if (ioctl(listener(), SECCOMP_IOCTL_NOTIF_RECV, &message) != 0) return errno == ENOENT || errno == EINTR;
  Answer answer;
  const SyscallRule* rule = FindRule(jail_, message.request.data.nr);
  bool observed = rule != nullptr && rule->observed != 0;
  if (observed) files_.Look(message.request, *rule);
  Decide(message.request, rule, &answer);
  if (observed) files_.Tell(message.request, *rule, answer);
  Conclude(message.request, &answer);
  ++answered_;
  return true;
}

void Broker::Conclude(const seccomp_notif& request, Answer* answer) {
  bool permitted = answer->would_be != 0;
  bool refused = answer->refused && !answer->proceed && !answer->injected && !answer->deferred && answer->error != 0;
  if (refused || permitted) {
    const SyscallRule* rule = FindRule(jail_, request.data.nr);
    Refusal refusal;
    refusal.request = &request;
    refusal.syscall = rule != nullptr ? jail_.Text(rule->name) : "unknown";
    // Refused after all: what would only have been recorded is not why.
    const char* why = refused && permitted ? nullptr : answer->rule;
    refusal.rule = why != nullptr ? why : rule != nullptr ? jail_.Text(rule->rule) : "unknown syscall number";
    refusal.action = answer->action;
    refusal.error = refused ? answer->error : answer->would_be;
    refusal.permitted = !refused;
    refusal.path = answer->path;
    refusal.host = answer->host.text;
    if (answer->address.readable) refusal.address = &answer->address;
    refusal.protocol = ProtocolOf(request, answer->address);
    // Before the answer: afterwards the caller could be gone, and its number another's.
    if (notify_.Alive(request.id)) log_->Add(refusal);
  }
  notify_.Respond(request.id, *answer);
}

void Broker::AskHost(uint32_t number, const char* host, uint16_t port, pid_t tid) {
  JsonWriter& message = events_->StartMessage("ask");
  message.Pair("id", static_cast<int64_t>(number));
  message.Pair("host", host);
  if (port != 0) message.Pair("port", port);
  if (tid != 0) {
    ProcessFacts facts = ReadFacts(tid);
    message.Pair("pid", facts.pid);
    message.Pair("commandLine", facts.command_line);
  }
  events_->FinishMessage();
}

void Broker::Decide(const seccomp_notif& request, const SyscallRule* rule, Answer* answer) {
  if (DecideImported(request, answer)) return;
  if (rule == nullptr) {
    answer->error = ENOSYS;
    return;
  }
  answer->error = static_cast<int>(rule->error);
  if (rule->observed != 0 && files_.Passes(request)) {
    answer->proceed = true;
    return;
  }
  switch (rule->verdict) {
    case Verdict::kRefuse:
      return;
    case Verdict::kPermit:
      answer->Permit(static_cast<int>(rule->error), answer->rule);
      answer->proceed = true;
      return;
    case Verdict::kContinue:
      answer->proceed = true;
      return;
    case Verdict::kIoctl:
      return DecideIoctl(request, answer);
    case Verdict::kConnect:
    case Verdict::kBind:
    case Verdict::kSendTo:
      return DecideConnect(request, answer);
    case Verdict::kSocket:
      return hosts_.OnSocket(request, answer);
    case Verdict::kListen:
      return DecideListen(request, answer);
    case Verdict::kCreate:
      return DecideCreate(request, rule, answer);
    case Verdict::kChange:
      return tree_.Decide(request, jail_.Text(rule->name), answer);
    case Verdict::kProcess:
      return processes_.Decide(request, jail_.Text(rule->name), answer);
  }
}

// True when the imported profiles settle it. They look at registers only, so what they and the table let pass may go on
// whatever the payload does meanwhile; what the table does not, is decided as without them.
bool Broker::DecideImported(const seccomp_notif& request, Answer* answer) const {
  if (jail_.plan->imported_filter.length == 0) return false;
  uint32_t said = RunFilter(Bytes(jail_.blob, jail_.plan->imported_filter), request.data);
  if (said == SECCOMP_RET_ALLOW) return false;
  bool gives_errno = (said & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
  int error = gives_errno ? static_cast<int>(said & SECCOMP_RET_DATA) : EPERM;
  const char* why = jail_.Text(jail_.plan->imported_rule);
  if (!jail_.Has(kPlanPermissive) || !gives_errno) {
    answer->Refuse(error, why);
    return true;
  }
  answer->Permit(error, why);
  answer->proceed = RunFilter(Bytes(jail_.blob, jail_.plan->table_filter), request.data) == SECCOMP_RET_ALLOW;
  return answer->proceed;
}

void Broker::DecideIoctl(const seccomp_notif& request, Answer* answer) {
  auto command = static_cast<uint32_t>(request.data.args[1]);
  if (jail_.Has(kPlanWithoutNamespaces) && (IsOwnerIoctl(command) || IsAttributeIoctl(command))) return;
  answer->proceed = !IsForbiddenIoctl(command) && (!IsInterfaceIoctl(command) || jail_.Has(kPlanShareHostNetwork));
}

void Broker::DecideCreate(const seccomp_notif& request, const SyscallRule* rule, Answer* answer) {
  CreateVerdict verdict = guard_.Decide(request, jail_.Text(rule->name), listener());
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
}

// connect, bind and sendto with an address. What goes on by CONTINUE may be changed by the payload after this look,
// address and descriptor both, so a connect does not (an address of no family becomes the path of a host's socket): it
// is done here, and so is a bind on the jail's own loopback. sendto goes on where there is no host to reach: a datagram
// gets nowhere that this look would forbid, and no datagram socket of the host is a standard stream (init.cc).
void Broker::DecideConnect(const seccomp_notif& request, Answer* answer) {
  const auto& args = request.data.args;
  bool sendto = static_cast<uint32_t>(request.data.nr) == SYS_sendto;
  bool bind = static_cast<uint32_t>(request.data.nr) == SYS_bind;
  constexpr uint64_t kFastOpen = 0x20000000;
  if (sendto && (args[3] & kFastOpen) != 0) return;
  answer->address = ReadAddress(static_cast<pid_t>(request.pid), args[sendto ? 4 : 1], args[sendto ? 5 : 2]);
  const Address& address = answer->address;
  if (!notify_.Alive(request.id)) {
    answer->error = EINTR;
    return;
  }
  answer->action = "network.refused";
  int family = address.family();
  if (family == -1) {
    answer->error = address.readable || args[sendto ? 4 : 1] != 0 ? EFAULT : EINVAL;
    return;
  }
  if (family == AF_UNIX && bind) return BindUnix(request, answer);
  if (family == AF_UNIX && !sendto) return unix_.OnConnect(request, answer);
  bool inet = family == AF_INET || family == AF_INET6;
  if (jail_.Has(kPlanAllowListNetwork) && (inet || family == AF_UNSPEC)) {
    return sendto ? hosts_.OnSendTo(answer) : bind ? hosts_.OnBind(request, answer) : hosts_.OnConnect(request, answer);
  }
  if (inet) DecideInet(address, answer);
  // Dissolves an association; and the filter lets only NETLINK_ROUTE sockets come to be.
  if (family == AF_UNSPEC || family == AF_NETLINK) answer->proceed = true;
  // A netlink bind goes on: the kernel makes the caller's number the socket's name.
  if (!answer->proceed || sendto || (bind && (family == AF_NETLINK || jail_.Has(kPlanShareHostNetwork)))) return;
  answer->proceed = false;
  bind ? BindHere(request, answer) : ConnectHere(request, answer);
}

void Broker::DecideInet(const Address& address, Answer* answer) {
  if (jail_.Has(kPlanShareHostNetwork)) {
    answer->proceed = true;
    return;
  }
  // Listening on "any" is listening on the loopback, there being nothing else.
  IpAddress ip;
  uint16_t port = 0;
  bool own = FromSockaddr(&address.storage, address.length, &ip, &port) && IsOwnLoopback(ip);
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

void Broker::BindUnix(const seccomp_notif& request, Answer* answer) {
  sockaddr_un un = {};
  const Address& address = answer->address;
  memcpy(&un, &address.storage, address.length < sizeof(un) ? address.length : sizeof(un) - 1);
  pid_t tid = static_cast<pid_t>(request.pid);
  if (jail_.Has(kPlanWithoutNamespaces)) {
    bool named = address.length > offsetof(sockaddr_un, sun_path) && un.sun_path[0] != 0;
    if (named) return BindInTemp(request, un.sun_path, answer);
    return answer->Refuse(EACCES, "abstract sockets of the host");
  }
  // On a copy and a duplicate: a socket of the host would take an abstract name there.
  if (un.sun_path[0] == 0) return BindHere(request, answer);
  bool guarded = jail_.Has(kPlanGuardCreates);
  answer->rule = guarded ? guard_.RuleOfSocket(tid, un.sun_path) : nullptr;
  answer->error = EACCES;
  answer->proceed = answer->rule == nullptr;
}

// Done here: gone on and changed after this look, it would take an abstract name of the host's. By a name without a
// folder, since what is bound is the text: getsockname(2) then tells the last part of the path.
void Broker::BindInTemp(const seccomp_notif& request, const char* path, Answer* answer) {
  pid_t tid = static_cast<pid_t>(request.pid);
  sockaddr_un un = {};
  un.sun_family = AF_UNIX;
  char name[256];
  UniqueFd parent = tree_.PlaceOfSocket(tid, path, name, sizeof(name));
  if (!parent) return answer->Refuse(EACCES, "sockets outside of the private temporary folder");
  size_t length = strlen(name);
  if (length >= sizeof(un.sun_path)) return answer->Done(EINVAL);
  memcpy(un.sun_path, name, length + 1);
  mode_t mask = ReadStatus(tid).umask;
  UniqueFd socket = Duplicate(tid, static_cast<int>(request.data.args[0]));
  if (!socket || !notify_.Alive(request.id)) return answer->Done(socket ? EINTR : errno);
  if (fchdir(parent.get()) != 0) return answer->Done(errno);
  (void)umask(mask);  // always succeeds, here and below
  socklen_t size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length + 1);
  answer->Done(bind(socket.get(), reinterpret_cast<sockaddr*>(&un), size) == 0 ? 0 : errno);
  (void)umask(0);
  (void)!fchdir(root_.get());  // so that the folder is not kept busy; nothing of ours depends on where we are
}

// A duplicate of the payload's descriptor, which what is done here is done on. A socket of another network would take
// the act there: to the host's loopback, for one.
UniqueFd Broker::OwnSocket(const seccomp_notif& request, Answer* answer) const {
  UniqueFd socket = Duplicate(static_cast<pid_t>(request.pid), static_cast<int>(request.data.args[0]));
  if (!socket || !notify_.Alive(request.id)) {
    answer->Done(socket ? EINTR : errno);
    return UniqueFd();
  }
  if (network_.Has(socket.get())) return socket;
  answer->action = "network.refused";
  answer->Refuse(EACCES, kForeignSocket);
  return UniqueFd();
}

void Broker::BindHere(const seccomp_notif& request, Answer* answer) {
  UniqueFd socket = OwnSocket(request, answer);
  const Address& address = answer->address;
  if (!socket) return;
  int bound = bind(socket.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length);
  answer->Done(bound == 0 ? 0 : errno);
}

// A local socket listens by itself: who connects to it is told who listened. unix(7), SO_PEERCRED. Gone on, it cannot
// become one of the host's that listens: those among the standard streams are connections, which only a connect undoes.
void Broker::DecideListen(const seccomp_notif& request, Answer* answer) {
  if (jail_.Has(kPlanAllowListNetwork)) return hosts_.OnListen(request, answer);
  UniqueFd socket = OwnSocket(request, answer);
  if (!socket) return;
  answer->Done(0);
  answer->proceed = true;
}

// With the address as it was checked.
void Broker::ConnectHere(const seccomp_notif& request, Answer* answer) {
  pid_t tid = static_cast<pid_t>(request.pid);
  const Address& address = answer->address;
  UniqueFd socket = OwnSocket(request, answer);
  if (!socket) return;
  bool blocking;
  answer->Done(ConnectWithoutWaiting(socket.get(), &address.storage, address.length, &blocking));
  if (!blocking || (answer->error != EINPROGRESS && answer->error != EALREADY)) return;
  answer->deferred = pending_.Add(request.id, tid, static_cast<UniqueFd&&>(socket), address, /*live=*/false);
  if (!answer->deferred) answer->Done(EAGAIN);
}

}  // namespace qi
