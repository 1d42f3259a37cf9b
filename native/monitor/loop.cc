#include "monitor/loop.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>

#include "core/uapi.h"
#include "monitor/channel.h"

namespace qi {
namespace {

enum Source : uint32_t {
  kListener,
  kSignals,
  kControl,
  kInit,
  kFlushTimer,
  kDeadline,
  kPending,
  kGateway,
  kMemoryEvents,
  kProcessEvents,
  kLookTimer,
  kFreezerEvents,
  kFreezerTimer,
  kClientListener,
  kClientTimer,
  kFirstClient  // and those that follow
};

bool Watch(int epoll, int fd, uint32_t source, uint32_t events = EPOLLIN) {
  epoll_event event = {};
  event.events = events;
  event.data.u32 = source;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

// What a terminal sends with its keys and its hangup goes to a whole group when there is no jail; so does it here, by
// whomever it was sent. The rest goes to the one process, as by kill(1).
bool GoesToGroup(int signal) {
  return signal == SIGINT || signal == SIGQUIT || signal == SIGHUP || signal == SIGWINCH || signal == SIGCONT;
}

// -1: there is no such source in this jail. Files of a group say by EPOLLPRI that they have changed.
bool WatchIfAny(int epoll, int fd, uint32_t source, uint32_t events = EPOLLIN) {
  return fd < 0 || Watch(epoll, fd, source, events);
}

}  // namespace

bool Loop::Prepare() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  flush_timer_ = NewTimer(CLOCK_MONOTONIC);
  int e = epoll_.get();
  bool ok = e >= 0 && flush_timer_ && Watch(e, broker_->listener(), kListener) && Watch(e, signals_, kSignals) &&
            Watch(e, running_->channel.get(), kInit) && Watch(e, flush_timer_.get(), kFlushTimer) &&
            Watch(e, broker_->pending()->fd(), kPending);
  if (ok && jail_.Has(kPlanAllowListNetwork)) ok = Watch(e, broker_->hosts()->link().fd(), kGateway);
  if (ok && jail_.Has(kPlanControl)) ok = Watch(e, kControlFd, kControl);
  if (ok) ok = control_->Attach({e, kClientListener, kClientTimer, kFirstClient}, &host_, this, running_->payload);
  prepared_ = ok && PrepareLimits();
  return prepared_;
}

bool Loop::PrepareLimits() {
  int e = epoll_.get();
  return clock_.Init(jail_) && WatchIfAny(e, clock_.fd(), kDeadline) &&
         limits_.Init(group(), broker_->root(), running_->system_v.get(),
                      jail_.Has(kPlanWithoutNamespaces) ? running_->init : 0) &&
         WatchIfAny(e, limits_.memory_events(), kMemoryEvents, EPOLLPRI) &&
         WatchIfAny(e, limits_.process_events(), kProcessEvents, EPOLLPRI) &&
         WatchIfAny(e, limits_.look_timer(), kLookTimer) &&
         pauser_.Init(group(), running_->channel.get(), events_, &clock_) &&
         WatchIfAny(e, pauser_.changes(), kFreezerEvents, EPOLLPRI) && WatchIfAny(e, pauser_.timer(), kFreezerTimer);
}

Outcome Loop::Run() {
  if (!prepared_ && !Prepare()) Stop("killed");
  began_ns_ = NowNs(CLOCK_BOOTTIME);
  clock_.Start();
  limits_.Start();
  while (!done_) {
    epoll_event ready[8];
    constexpr int kAskTickMs = 100;
    int n = epoll_wait(epoll_.get(), ready, 8, broker_->hosts()->asking() ? kAskTickMs : -1);
    if (n < 0 && errno != EINTR) Stop("killed");
    for (int i = 0; i < n && !done_; ++i) Dispatch(ready[i].data.u32, ready[i].events);
    broker_->hosts()->ExpireAsks();
    ArmFlushTimer();
    WatchControl(events_->HasQueue());
  }
  Conclude();
  return outcome_;
}

void Loop::Dispatch(uint32_t source, uint32_t ready) {
  switch (source) {
    case kListener:
      // EPOLLHUP: nobody is left under the filter; pid 1 will say so.
      if ((ready & EPOLLIN) == 0 || !broker_->Serve()) {
        (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, broker_->listener(), nullptr);
      }
      return;
    case kSignals:
      return OnSignal();
    case kControl:
      if (ready & EPOLLOUT) (void)events_->Flush();
      if (ready & (EPOLLIN | EPOLLHUP | EPOLLERR)) host_.Read(done_);
      return;
    case kInit:
      return OnInit();
    case kFlushTimer:
      return OnTimer();
    case kDeadline:
      return OnDeadline();
    case kPending:
      return broker_->pending()->Serve();
    case kGateway:
      // Without it names lead nowhere: a jail half served is worse than none.
      return broker_->hosts()->link().Drain() ? void() : OnGatewayGone();
    case kMemoryEvents:
      return limits_.OnMemoryEvents();
    case kProcessEvents:
      return limits_.OnProcessEvents(this);
    case kLookTimer:
      return limits_.OnLook(this);
    case kFreezerEvents:
      return pauser_.OnChange();
    case kFreezerTimer:
      return pauser_.OnTimeout();
    case kClientListener:
      return control_->OnConnection();
    case kClientTimer:
      return control_->OnTimer();
    default:
      return control_->OnClient(source - kFirstClient, done_);
  }
}

void Loop::ArmFlushTimer() {
  if (flush_armed_ || (!log_->Pending() && !broker_->files()->Pending() && !limits_.pending())) return;
  ArmTimer(flush_timer_, 1000);
  flush_armed_ = true;
}

void Loop::WatchControl(bool write) {
  if (!jail_.Has(kPlanControl) || write == watching_writes_ || done_) return;
  epoll_event event = {};
  event.events = EPOLLIN | (write ? static_cast<uint32_t>(EPOLLOUT) : 0u);
  event.data.u32 = kControl;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, kControlFd, &event) == 0) watching_writes_ = write;
}

void Loop::OnTimer() {
  DrainTimer(flush_timer_);
  flush_armed_ = false;
  log_->Flush(false);
  broker_->files()->Flush(false);
  limits_.Tick();
}

void Loop::Signal(int signal, bool group) { SendSignal(signal, group ? 1 : 0); }

void Loop::SendSignal(int signal, uint32_t group) {
  InitMessage message = {};
  message.command = InitCommand::kSignal;
  message.signal = signal;
  message.group = group;
  (void)SendMessage(running_->channel.get(), &message, sizeof(message));  // gone: OnInit will see it
}

void Loop::Stats(uint32_t id) {
  limits_.Tick();
  WriteStats(events_, id,
             {jail_, group(), running_->cgroup.path(), &limits_.watchdog(),
              (NowNs(CLOCK_BOOTTIME) - began_ns_) / 1000000, pauser_.paused(), broker_->connections(), log_->total()});
}

void Loop::OnSignal() {
  signalfd_siginfo info;
  if (read(signals_, &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) return;
  int signal = static_cast<int>(info.ssi_signo);
  if (signal == SIGCHLD) return OnChild();
  if (signal == SIGTSTP) return StopAll();
  if (signal == SIGCONT && stopped_) return ContinueAll();
  Signal(signal, GoesToGroup(signal));
}

// The payload leads an orphaned process group, in which SIGTSTP is ignored: it is stopped the hard way, and then
// ourselves. All of the jail with it: what goes on while we are stopped would be held to no limit of ours.
void Loop::StopAll() {
  stopped_ = true;
  // A process that was being forked is there for the second one.
  for (int i = 0; i < 2; ++i) SendSignal(SIGSTOP, kEverybody);
  (void)kill(getpid(), SIGSTOP);
}

void Loop::ContinueAll() {
  stopped_ = false;
  if (!pauser_.paused()) SendSignal(SIGCONT, kEverybody);
}

// Pid 1's end is told by its channel. A jail without its warden could outlive us.
void Loop::OnChild() {
  siginfo_t ended = {};
  if (running_->warden <= 0) return;
  if (waitid(P_PID, static_cast<id_t>(running_->warden), &ended, WEXITED | WNOHANG | WNOWAIT) != 0) return;
  if (ended.si_pid != 0) Stop("killed");
}

void Loop::OnInit() {
  InitMessage message;
  // Killed from outside, or by the kernel with all of its group.
  if (ReceiveMessage(running_->channel.get(), &message, sizeof(message)) != 0) return Stop("killed");
  if (message.command == InitCommand::kEcho) return pauser_.OnEcho(message.count);
  if (message.command != InitCommand::kExited) return;
  outcome_.known = true;
  outcome_.wait_status = message.status;
  bool signaled = WIFSIGNALED(message.status);
  bool by_filter = signaled && WTERMSIG(message.status) == SIGSYS;
  if (!clock_.in_grace()) outcome_.reason = by_filter ? "killed-by-policy" : signaled ? "signal" : "exit";
  Destroy(jail_, running_);
  done_ = true;
}

void Loop::OnGatewayGone() {
  JsonWriter& json = events_->Start("security", "gateway.lost", "error", "critical");
  json.Pair("rule", "the gateway ended: the jail ends with it");
  events_->Finish("high");
  Stop("killed-by-policy");
}

void Loop::OnDeadline() {
  clock_.Drain();
  if (clock_.in_grace()) return Stop("time");
  outcome_.reason = "time";
  uint64_t limit = jail_.plan->wall_clock_ms;
  WriteExceeded(events_, {"maxExecutionTime", limit, limit, "ms", "timer", nullptr, 1, nullptr}, false);
  Signal(SIGTERM, true);
  clock_.StartGrace(jail_.plan->grace_ms);
}

void Loop::Stop(const char* reason) {
  outcome_.reason = clock_.in_grace() && strcmp(reason, "killed") == 0 ? "time" : reason;
  Destroy(jail_, running_);
  // The payload may have ended by itself in between: then that is how it ended.
  InitMessage message;
  while (!outcome_.known && recv(running_->channel.get(), &message, sizeof(message), MSG_DONTWAIT) ==
                                static_cast<ssize_t>(sizeof(message))) {
    outcome_.known = message.command == InitCommand::kExited;
    if (outcome_.known) outcome_.wait_status = message.status;
  }
  if (!outcome_.known) outcome_.wait_status = SIGKILL;
  done_ = true;
}

// What the kernel killed for its memory may have taken pid 1 along, whose end then came first; or only the payload.
void Loop::Conclude() {
  limits_.Finish();
  bool killed = WIFSIGNALED(outcome_.wait_status) && WTERMSIG(outcome_.wait_status) == SIGKILL;
  bool told_otherwise = strcmp(outcome_.reason, "killed") != 0 && strcmp(outcome_.reason, "signal") != 0;
  if (killed && !told_otherwise && limits_.out_of_memory()) outcome_.reason = "memory";
  outcome_.totals = TotalsOf(group(), limits_.watchdog());
  // What died with pid 1 is in nobody's account.
  if (outcome_.totals.cpu_us == 0 && outcome_.known) outcome_.totals.cpu_us = running_->cpu_us;
}

}  // namespace qi
