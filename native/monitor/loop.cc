#include "monitor/loop.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <cstring>

#include "core/uapi.h"
#include "monitor/channel.h"

namespace qi {
namespace {

enum Source : uint32_t { kListener, kSignals, kControl, kInit, kFlushTimer, kDeadline, kPending, kGateway };

bool Watch(int epoll, int fd, uint32_t source, uint32_t events = EPOLLIN) {
  epoll_event event = {};
  event.events = events;
  event.data.u32 = source;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

void Arm(int timer, uint64_t milliseconds) {
  itimerspec spec = {};
  spec.it_value.tv_sec = static_cast<time_t>(milliseconds / 1000);
  spec.it_value.tv_nsec = static_cast<long>(milliseconds % 1000) * 1000000;
  (void)timerfd_settime(timer, 0, &spec, nullptr);  // cannot fail with a value in range
}

void Drain(int timer) {
  uint64_t expirations;
  (void)!read(timer, &expirations, sizeof(expirations));  // only clears the readiness
}

}  // namespace

bool Loop::Setup() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  flush_timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  int e = epoll_.get();
  bool ok = e >= 0 && flush_timer_ && Watch(e, broker_->listener(), kListener) && Watch(e, signals_, kSignals) &&
            Watch(e, running_->channel.get(), kInit) && Watch(e, flush_timer_.get(), kFlushTimer) &&
            Watch(e, broker_->pending()->fd(), kPending);
  if (ok && jail_.Has(kPlanAllowListNetwork)) ok = Watch(e, broker_->hosts()->link().fd(), kGateway);
  if (ok && jail_.Has(kPlanControl)) ok = Watch(e, kControlFd, kControl);
  if (ok && jail_.plan->wall_clock_ms > 0) {
    // CLOCK_BOOTTIME goes on while the machine sleeps: a limit in wall time means wall time.
    deadline_.reset(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
    ok = deadline_ && Watch(e, deadline_.get(), kDeadline);
    if (ok) Arm(deadline_.get(), jail_.plan->wall_clock_ms);
  }
  return ok;
}

Outcome Loop::Run() {
  if (!Setup()) Stop("killed");
  while (!done_) {
    epoll_event ready[8];
    constexpr int kAskTickMs = 100;
    int n = epoll_wait(epoll_.get(), ready, 8, broker_->hosts()->asking() ? kAskTickMs : -1);
    if (n < 0 && errno != EINTR) Stop("killed");
    for (int i = 0; i < n && !done_; ++i) {
      switch (ready[i].data.u32) {
        case kListener:
          // EPOLLHUP: nobody is left under the filter; pid 1 will say so.
          if ((ready[i].events & EPOLLIN) == 0 || !broker_->Serve()) {
            (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, broker_->listener(), nullptr);
          }
          break;
        case kSignals:
          OnSignal();
          break;
        case kControl:
          if (ready[i].events & EPOLLOUT) (void)events_->Flush();
          if (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) OnHostMessage();
          break;
        case kInit:
          OnInit();
          break;
        case kFlushTimer:
          OnTimer();
          break;
        case kDeadline:
          OnDeadline();
          break;
        case kPending:
          broker_->pending()->Serve();
          break;
        case kGateway:
          // Without it names lead nowhere: a jail half served is worse than none.
          if (!broker_->hosts()->link().Drain()) OnGatewayGone();
          break;
      }
    }
    broker_->hosts()->ExpireAsks();
    ArmFlushTimer();
    WatchControl(events_->HasQueue());
  }
  return outcome_;
}

void Loop::ArmFlushTimer() {
  if (!log_->Pending() || flush_armed_) return;
  Arm(flush_timer_.get(), 1000);
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
  Drain(flush_timer_.get());
  flush_armed_ = false;
  log_->Flush(false);
}

void Loop::Forward(int signal, bool group) {
  InitMessage message = {};
  message.command = InitCommand::kSignal;
  message.signal = signal;
  message.group = group ? 1 : 0;
  (void)SendMessage(running_->channel.get(), &message, sizeof(message));  // gone: OnInit will see it
}

void Loop::OnSignal() {
  signalfd_siginfo info;
  if (read(signals_, &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) return;
  int signal = static_cast<int>(info.ssi_signo);
  if (signal == SIGCHLD) return;  // pid 1: its channel tells
  // What the terminal sends (SI_KERNEL) goes to a whole group when there is no jail; so does it here.
  bool group = info.ssi_code == SI_KERNEL;
  if (signal != SIGTSTP) return Forward(signal, group || signal == SIGCONT);
  // The payload leads an orphaned process group, in which SIGTSTP is ignored: stop it the hard way, then ourselves.
  Forward(SIGSTOP, true);
  (void)kill(getpid(), SIGSTOP);
}

void Loop::OnHostMessage() {
  ssize_t n = recv(kControlFd, line_ + line_size_, sizeof(line_) - 1 - line_size_, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) return Stop("host-gone");
  line_size_ += static_cast<size_t>(n);
  line_[line_size_] = 0;
  while (char* end = strchr(line_, '\n')) {
    *end = 0;
    OnHostLine(line_);
    if (done_) return;
    line_size_ -= static_cast<size_t>(end + 1 - line_);
    memmove(line_, end + 1, line_size_ + 1);
  }
  if (line_size_ == sizeof(line_) - 1) Stop("host-gone");  // no command is this long: not a host of ours
}

void Loop::OnHostLine(char* line) {
  int signal = 0;
  int group = 0;
  if (strcmp(line, "kill") == 0) return Stop("killed");
  if (sscanf(line, "signal %d %d", &signal, &group) >= 1 && signal > 0 && signal < NSIG) Forward(signal, group != 0);
  if (jail_.Has(kPlanAllowListNetwork)) OnNetworkLine(line);
}

// network ID set|add RULE;RULE...     answer ID allow|deny
void Loop::OnNetworkLine(char* line) {
  unsigned id = 0;
  char word[8] = "";
  int used = 0;
  if (sscanf(line, "answer %u %7s", &id, word) == 2) return broker_->hosts()->OnAnswer(id, strcmp(word, "allow") == 0);
  if (sscanf(line, "network %u %7s%n", &id, word, &used) != 2) return;
  char* rules = line + used + (line[used] == ' ' ? 1 : 0);
  for (char* p = strchr(rules, ';'); p != nullptr; p = strchr(p, ';')) *p = '\n';
  size_t fault = broker_->hosts()->Update(rules, strlen(rules), strcmp(word, "add") == 0);
  JsonWriter& message = events_->StartMessage("network");
  message.Pair("id", static_cast<int64_t>(id));
  message.Key("ok");
  message.Raw(fault == 0 ? "true" : "false");
  if (fault != 0) message.Pair("line", static_cast<int64_t>(fault));
  events_->FinishMessage();
}

void Loop::OnInit() {
  InitMessage message;
  if (ReceiveMessage(running_->channel.get(), &message, sizeof(message)) != 0)
    return Stop(out_of_time_ ? "time" : "killed");
  if (message.command != InitCommand::kExited) return;
  outcome_.known = true;
  outcome_.wait_status = message.status;
  if (!out_of_time_) outcome_.reason = WIFSIGNALED(message.status) ? "signal" : "exit";
  Destroy(running_);
  done_ = true;
}

void Loop::OnGatewayGone() {
  JsonWriter& json = events_->Start("security", "gateway.lost", "error", "critical");
  json.Pair("rule", "the gateway ended: the jail ends with it");
  events_->Finish("high");
  Stop("killed");
}

void Loop::OnDeadline() {
  Drain(deadline_.get());
  if (out_of_time_) return Stop("time");
  out_of_time_ = true;
  outcome_.reason = "time";
  JsonWriter& json = events_->Start("security", "limit.exceeded", "blocked", "warning");
  json.Pair("limit", "maxExecutionTime");
  json.Key("limitMs");
  json.Unsigned(jail_.plan->wall_clock_ms);
  json.Pair("graceMs", static_cast<int64_t>(jail_.plan->grace_ms));
  events_->Finish("medium");
  Forward(SIGTERM, true);
  Arm(deadline_.get(), jail_.plan->grace_ms > 0 ? jail_.plan->grace_ms : 1);
}

void Loop::Stop(const char* reason) {
  outcome_.reason = reason;
  Destroy(running_);
  // The payload may have ended by itself in between: then that is how it ended.
  InitMessage message;
  if (!outcome_.known &&
      recv(running_->channel.get(), &message, sizeof(message), MSG_DONTWAIT) == static_cast<ssize_t>(sizeof(message)) &&
      message.command == InitCommand::kExited) {
    outcome_.known = true;
    outcome_.wait_status = message.status;
  }
  if (!outcome_.known) outcome_.wait_status = SIGKILL;
  done_ = true;
}

}  // namespace qi
