#include "monitor/unix_sockets.h"

#include <fcntl.h>
#include <sys/un.h>

#include <climits>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include "core/uapi.h"
#include "monitor/paths.h"
#include "monitor/target.h"

namespace qi {
namespace {

constexpr size_t kPathAt = offsetof(sockaddr_un, sun_path);
constexpr char kStranger[] = "named sockets of programs outside the jail";
constexpr char kReplaced[] = "network.allowUnixSockets: the socket was replaced";

// The address of what `fd` has open, whatever lies at its path by now.
Address AddressOf(int fd) {
  sockaddr_un un = {};
  un.sun_family = AF_UNIX;
  int n = snprintf(un.sun_path, sizeof(un.sun_path), "/proc/self/fd/%d", fd);
  Address address;
  memcpy(&address.storage, &un, sizeof(un));
  address.length = static_cast<socklen_t>(kPathAt + static_cast<size_t>(n) + 1);
  address.readable = true;
  return address;
}

// The path of what `fd` has open: as the jail sees it, its root being out of qi-monitor's reach.
void PathOf(int fd, char* out, size_t room) {
  char link[32];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, out, room - 1);
  out[n > 0 ? n : 0] = 0;
}

}  // namespace

Result UnixSockets::Pin() {
  Span<PlanString> paths = List(jail_.blob, jail_.plan->unix_sockets);
  if (paths.size > kMaxPins) return Fail(Step::kCheckPlan, E2BIG, "unix sockets");
  for (const PlanString& text : paths) {
    const char* path = jail_.Text(text);
    QI_BEGIN(jail_, Step::kPinSocket);
    Pinned& pin = pins_[pin_count_];
    pin.fd.reset(OpenPlain(-1, path));
    struct stat st;
    if (!pin.fd || fstat(pin.fd.get(), &st) != 0) return Fail(Step::kPinSocket, errno, path);
    if (!S_ISSOCK(st.st_mode)) return Fail(Step::kPinSocket, ENOTSOCK, path);
    pin.device = st.st_dev;
    pin.inode = st.st_ino;
    pin.path = path;
    ++pin_count_;
  }
  return Ok();
}

// The address is the copy, the socket the payload's own by descriptor, the target an inode: nothing is left that could
// be swapped.
void UnixSockets::OnConnect(const seccomp_notif& request, Answer* answer) {
  const Address& address = answer->address;
  sockaddr_un un = {};
  answer->Refuse(EINVAL, nullptr);
  if (address.length <= kPathAt || address.length > sizeof(un)) return;
  memcpy(&un, &address.storage, address.length);
  if (un.sun_path[0] == 0) {
    // The network namespace keeps them inside; a shared one does not.
    if (jail_.Has(kPlanShareHostNetwork) || tree_ != nullptr)
      return answer->Refuse(EACCES, "abstract sockets of the host");
    return Connect(request, address, UniqueFd(), false, answer);
  }
  UniqueFd found = Find(request, un.sun_path, strnlen(un.sun_path, address.length - kPathAt), answer);
  if (found) ConnectNamed(request, static_cast<UniqueFd&&>(found), answer);
}

// What the name leads to in the jail's root; `answer` says why it cannot be told.
UniqueFd UnixSockets::Find(const seccomp_notif& request, const char* name, size_t length, Answer* answer) const {
  char path[PATH_MAX * 2] = "";
  size_t base = 0;
  if (name[0] != '/') {
    char link[64];
    snprintf(link, sizeof(link), "/proc/%d/cwd", static_cast<int>(request.pid));
    ssize_t n = readlink(link, path, PATH_MAX);
    if (n > 0) base = static_cast<size_t>(n);
    path[base++] = '/';
  }
  memcpy(path + base, name, length);
  path[base + length] = 0;
  UniqueFd found(OpenInside(root_, path, 0));
  if (!found) answer->Done(errno == ELOOP || errno == EACCES || errno == ENOTDIR ? errno : ENOENT);
  return found;
}

const UnixSockets::Pinned* UnixSockets::PinOf(const struct stat& st) const {
  for (size_t i = 0; i < pin_count_; ++i) {
    if (pins_[i].device == st.st_dev && pins_[i].inode == st.st_ino) return &pins_[i];
  }
  return nullptr;
}

// At the path of a listed socket another one lies: its server was started anew, or somebody put it there.
void UnixSockets::RefuseStranger(Answer* answer) const {
  answer->Refuse(EACCES, kStranger);
  for (size_t i = 0; i < pin_count_; ++i) {
    if (strcmp(pins_[i].path, answer->path) == 0) answer->rule = kReplaced;
  }
}

// Named sockets in a grant belong to programs outside; those on the jail's own tmpfs may be reached, and those listed.
void UnixSockets::ConnectNamed(const seccomp_notif& request, UniqueFd found, Answer* answer) {
  struct stat st;
  if (fstat(found.get(), &st) != 0) return answer->Done(errno);
  PathOf(found.get(), answer->path, sizeof(answer->path));
  if (const Pinned* pin = PinOf(st)) {
    Connect(request, AddressOf(pin->fd.get()), UniqueFd(), true, answer);
    // Nobody listens, and the name is gone or another's on the host: the new server's socket is another inode.
    bool gone = fstat(pin->fd.get(), &st) == 0 && st.st_nlink == 0;
    if (answer->error == ECONNREFUSED && gone) answer->Refuse(ECONNREFUSED, kReplaced);
    return;
  }
  if (tree_ != nullptr ? !tree_->IsTemporary(found.get()) : st.st_dev != root_device_) return RefuseStranger(answer);
  Address address = AddressOf(found.get());
  Connect(request, address, static_cast<UniqueFd&&>(found), false, answer);
}

void UnixSockets::Connect(const seccomp_notif& request, const Address& address, UniqueFd target, bool listed,
                          Answer* answer) {
  pid_t tid = static_cast<pid_t>(request.pid);
  UniqueFd socket = Duplicate(tid, static_cast<int>(request.data.args[0]));
  answer->Done(errno);
  if (!socket || !notify_->Alive(request.id)) return;
  bool abstract = !target && !listed;
  if (abstract && !network_->Has(socket.get())) return answer->Refuse(EACCES, kForeignSocket);
  LocalConnect local = {static_cast<UniqueFd&&>(target), listed ? &ids_ : nullptr};
  bool blocking;
  answer->Done(local.Try(socket.get(), address, &blocking));
  if (!blocking || answer->error != EAGAIN) return;
  answer->deferred = pending_->AddLocal(request.id, tid, static_cast<UniqueFd&&>(socket), address, &local);
}

}  // namespace qi
