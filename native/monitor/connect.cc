#include "monitor/connect.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "monitor/target.h"

namespace qi {
namespace {

constexpr uint32_t kTimer = UINT32_MAX;
constexpr long kTickNs = 50 * 1000 * 1000;
// A busy listener costs each try the whole of its wait (ConnectWithoutWaiting): the others' turns come at later ticks.
constexpr uint32_t kTriesPerTick = 16;
constexpr int kBeginAgain = 512;  // the kernel's ERESTARTSYS: EINTR, or once more, as the signal's handler wants it

void Nothing(int) {}

// When a wait of the caller's own would end (SO_SNDTIMEO, socket(7)). 0: never.
uint64_t Deadline(int socket) {
  timeval timeout = {};
  socklen_t size = sizeof(timeout);
  if (getsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &timeout, &size) != 0) return 0;
  uint64_t ns = static_cast<uint64_t>(timeout.tv_sec) * 1000000000u + static_cast<uint64_t>(timeout.tv_usec) * 1000u;
  return ns == 0 ? 0 : NowNs() + ns;
}

}  // namespace

bool PrepareConnects() {
  struct sigaction action = {};
  action.sa_handler = Nothing;  // no SA_RESTART: the point is to be interrupted
  return sigaction(SIGALRM, &action, nullptr) == 0;
}

int ConnectWithoutWaiting(int socket, const void* address, socklen_t length, bool* blocking) {
  // A neighbour answers sooner than this. SO_SNDTIMEO would do for the rest, but counts in ticks of up to 10 ms, and a
  // few hundred attempts that nobody answers would keep everybody else waiting for seconds. Repeating, so that a first
  // expiry before the call cannot be the only one.
  constexpr itimerval kOn = {{0, 200}, {0, 200}};
  constexpr itimerval kOff = {};
  auto* to = static_cast<const sockaddr*>(address);
  int flags = fcntl(socket, F_GETFL);
  *blocking = flags >= 0 && (flags & O_NONBLOCK) == 0;
  (void)setitimer(ITIMER_REAL, &kOn, nullptr);  // cannot fail with these values
  int error = connect(socket, to, length) == 0 ? 0 : errno;
  (void)setitimer(ITIMER_REAL, &kOff, nullptr);
  if (error != EINTR) return error;
  return length >= sizeof(to->sa_family) && to->sa_family == AF_UNIX ? EAGAIN : EINPROGRESS;
}

void CallerIds::Take() const {
  if (!jail_.Has(kPlanPrivileged)) return;
  (void)syscall(SYS_setfsgid, static_cast<unsigned long>(jail_.plan->caller_gid));
  (void)syscall(SYS_setfsuid, static_cast<unsigned long>(jail_.plan->caller_uid));  // it failed: as the payload
}

void CallerIds::Return() const {
  if (!jail_.Has(kPlanPrivileged)) return;
  auto gid = static_cast<unsigned long>(jail_.plan->gid_outside),
       uid = static_cast<unsigned long>(jail_.plan->uid_outside);
  (void)syscall(SYS_setfsgid, gid);
  (void)syscall(SYS_setfsuid, uid);
  // Both report the id before, and fail in silence: asked again. setfsuid(2)
  bool back = static_cast<unsigned long>(syscall(SYS_setfsuid, -1)) == uid &&
              static_cast<unsigned long>(syscall(SYS_setfsgid, -1)) == gid;
  if (!back) _exit(125);
}

int LocalConnect::Try(int socket, const Address& address, bool* blocking) const {
  if (ids != nullptr) ids->Take();
  int error = ConnectWithoutWaiting(socket, &address.storage, address.length, blocking);
  if (ids != nullptr) ids->Return();
  return error;
}

PendingConnects::~PendingConnects() { free(items_); }

bool PendingConnects::Init() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u32 = kTimer;
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return false;
  constexpr rlim_t kForOthers = 96;  // a file or two per call, listed sockets, and the descriptors there are already
  rlim_t room = files.rlim_cur > kForOthers + 2 ? (files.rlim_cur - kForOthers) / 2 : 1;  // a local one holds two
  most_ = room < kMax ? room : kMax;
  return epoll_ && timer_ && epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, timer_.get(), &event) == 0;
}

PendingConnects::Item* PendingConnects::Take(uint64_t id, pid_t tid, UniqueFd socket, const Address& address) {
  if (items_ == nullptr) items_ = static_cast<Item*>(calloc(kMax, sizeof(Item)));
  if (items_ == nullptr) return nullptr;
  uint32_t index = 0;
  while (index < used_ && items_[index].id != 0) ++index;
  if (index >= most_) return nullptr;
  Item& item = items_[index];
  item = {};
  item.deadline_ns = Deadline(socket.get());
  item.id = id;
  item.tid = tid;
  item.socket = socket.release();
  item.target = -1;
  item.address = address;
  if (index == used_) ++used_;
  if (waiting_++ == 0) Arm(true);
  return &item;
}

bool PendingConnects::Add(uint64_t id, pid_t tid, UniqueFd socket, const Address& address, bool live) {
  int fd = socket.get();
  Item* item = Take(id, tid, static_cast<UniqueFd&&>(socket), address);
  if (item == nullptr) return false;
  item->live = live;
  epoll_event event = {};
  event.events = EPOLLOUT | EPOLLONESHOT;
  event.data.u32 = static_cast<uint32_t>(item - items_);
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return true;
  Drop(event.data.u32);
  return false;
}

bool PendingConnects::AddLocal(uint64_t id, pid_t tid, UniqueFd socket, const Address& address, LocalConnect* local) {
  Item* item = Take(id, tid, static_cast<UniqueFd&&>(socket), address);
  if (item == nullptr) return false;
  item->local = true;
  item->target = local->target.release();
  item->ids = local->ids;
  return true;
}

void PendingConnects::Serve() {
  epoll_event ready[32];
  int n = epoll_wait(epoll_.get(), ready, 32, 0);
  for (int i = 0; i < n; ++i) {
    if (ready[i].data.u32 == kTimer) {
      Tick();
    } else {
      Look(ready[i].data.u32);
    }
  }
}

// The second connect of an attempt that ended says how it ended, and puts the socket into the state a waiting connect
// would have left it in. connect(2)
void PendingConnects::Look(uint32_t index) {
  Item& item = items_[index];
  if (item.id == 0) return;
  bool blocking;
  int error = ConnectWithoutWaiting(item.socket, &item.address.storage, item.address.length, &blocking);
  if (error != EALREADY && error != EINPROGRESS && error != EAGAIN) return Finish(index, error == EISCONN ? 0 : error);
  epoll_event event = {};
  event.events = EPOLLOUT | EPOLLONESHOT;
  event.data.u32 = index;
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, item.socket, &event);  // not watched: the tick ends it
}

// What no event of the socket tells: a caller that died, one that a signal waits for, one whose own patience is over.
void PendingConnects::Tick() {
  uint64_t expirations;
  (void)!read(timer_.get(), &expirations, sizeof(expirations));  // only clears the readiness
  uint32_t tries = 0;
  for (uint32_t n = used_, i = 0; i < n && tries < kTriesPerTick; ++i) {
    uint32_t index = (turn_ + i) % n;
    if (items_[index].id == 0 || !items_[index].local) continue;
    TryLocal(index);
    if (++tries == kTriesPerTick) turn_ = index + 1;
  }
  for (uint32_t i = 0; i < used_; ++i) {
    Item& item = items_[i];
    if (item.id == 0) continue;
    bool late = item.deadline_ns != 0 && NowNs() >= item.deadline_ns;
    // A signal of the whole process is another thread's to take, unless it still waits at the next tick.
    bool signalled = SignalWaits(item.tid);
    if (!notify_->Alive(item.id)) {
      Finish(i, EINTR);
    } else if (signalled && item.signalled) {
      // A call with a timeout is not begun again. socket(7), signal(7)
      Finish(i, item.deadline_ns != 0 ? EINTR : kBeginAgain);
    } else if (late) {
      Finish(i, item.local ? EAGAIN : EINPROGRESS);
    }
    item.signalled = signalled;
  }
}

void PendingConnects::TryLocal(uint32_t index) {
  Item& item = items_[index];
  if (!notify_->Alive(item.id)) return;
  LocalConnect local = {UniqueFd(), item.ids};
  bool blocking;
  int error = local.Try(item.socket, item.address, &blocking);
  if (error != EAGAIN || !blocking) Finish(index, error);
}

void PendingConnects::Finish(uint32_t index, int error) {
  Item& item = items_[index];
  Answer answer;
  answer.Done(error);
  if (item.live && error != 0 && error != EINPROGRESS && error != EINTR && error != kBeginAgain)
    live_->Remove(item.socket);
  notify_->Respond(item.id, answer);
  // The payload's copies would keep it watched.
  if (!item.local) (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, item.socket, nullptr);
  Drop(index);
}

void PendingConnects::Drop(uint32_t index) {
  Item& item = items_[index];
  (void)close(item.socket);
  if (item.target >= 0) (void)close(item.target);
  item.id = 0;
  while (used_ > 0 && items_[used_ - 1].id == 0) --used_;
  if (--waiting_ == 0) Arm(false);
}

void PendingConnects::Arm(bool on) {
  itimerspec spec = {};
  spec.it_value.tv_nsec = spec.it_interval.tv_nsec = on ? kTickNs : 0;
  (void)timerfd_settime(timer_.get(), 0, &spec, nullptr);  // cannot fail with a value in range
}

}  // namespace qi
