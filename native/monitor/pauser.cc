#include "monitor/pauser.h"

#include <csignal>

#include "core/errno_names.h"
#include "monitor/channel.h"
#include "monitor/kernel_text.h"

namespace qi {

bool Pauser::Init(const CgroupFiles* files, int channel, EventWriter* events, ExecutionClock* clock) {
  files_ = files;
  channel_ = channel;
  events_ = events;
  clock_ = clock;
  if (by_freezer()) timer_ = NewTimer(CLOCK_MONOTONIC);
  return !by_freezer() || timer_;
}

bool Pauser::Freeze(bool on) {
  return RetryEintr([&] { return pwrite(files_->freeze.get(), on ? "1" : "0", 1, 0); }) == 1;
}

void Pauser::SignalAll(int signal) {
  InitMessage message = {};
  message.command = InitCommand::kSignal;
  message.signal = signal;
  message.group = kEverybody;
  (void)SendMessage(channel_, &message, sizeof(message));  // gone: the loop will see it
}

void Pauser::AskForEcho() {
  InitMessage message = {};
  message.command = InitCommand::kEcho;
  message.count = ++echo_;
  (void)SendMessage(channel_, &message, sizeof(message));  // gone: the loop will see it
}

void Pauser::Answer(uint32_t id, int error) {
  JsonWriter& message = events_->StartMessage("done");
  message.Pair("id", static_cast<int64_t>(id));
  message.Key("ok");
  message.Bool(error == 0);
  if (error != 0) message.Pair("error", ErrnoName(error));
  events_->FinishMessage();
}

void Pauser::Pause(uint32_t id) {
  if (pausing_) return Answer(id, EBUSY);
  if (paused_) return Answer(id, 0);
  if (by_freezer()) {
    constexpr uint64_t kPatienceMs = 2000;  // of a task that the kernel cannot stop: one in a wait for a device
    if (!Freeze(true)) return Answer(id, errno);
    pausing_ = true;
    id_ = id;
    ArmTimer(timer_, kPatienceMs);
    return OnChange();
  }
  // A process that was being forked is there for the second one.
  SignalAll(SIGSTOP);
  SignalAll(SIGSTOP);
  pausing_ = true;
  id_ = id;
  AskForEcho();
}

void Pauser::Stands() {
  pausing_ = false;
  paused_ = true;
  clock_->OnPause();
  Answer(id_, 0);
}

// Before it pid 1 might not have run yet, and what was to stop would go on for a moment after it was said to stand.
void Pauser::OnEcho(uint32_t number) {
  if (pausing_ && number == echo_) Stands();
}

void Pauser::OnChange() {
  char text[256];
  uint64_t frozen = 0;
  bool said = ReadAgain(files_->events.get(), text, sizeof(text)) && Field(text, "frozen", &frozen);
  if (!pausing_ || !said || frozen == 0) return;
  ArmTimer(timer_, 0);
  Stands();
}

void Pauser::OnTimeout() {
  DrainTimer(timer_);
  if (!pausing_) return;
  pausing_ = false;
  (void)Freeze(false);  // as it was
  Answer(id_, EBUSY);
}

void Pauser::Resume(uint32_t id) {
  if (pausing_ && by_freezer()) return Answer(id, EBUSY);
  if (pausing_) Stands();  // pid 1 does as it is told, one after the other
  if (!paused_) return Answer(id, 0);
  if (by_freezer() && !Freeze(false)) return Answer(id, errno);
  if (!by_freezer()) SignalAll(SIGCONT);
  paused_ = false;
  clock_->OnResume();
  Answer(id, 0);
}

}  // namespace qi
