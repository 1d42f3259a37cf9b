#include "monitor/helper.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "core/fd.h"
#include "core/uapi.h"
#include "monitor/environment.h"

namespace qi {
namespace {

void CloseRange(int first, int last) {
  if (first > last || uapi::CloseRange(static_cast<unsigned>(first), static_cast<unsigned>(last), 0) == 0) return;
  int end = static_cast<int>(sysconf(_SC_OPEN_MAX));
  for (int fd = first; fd <= last && fd < end; ++fd) (void)close(fd);  // most are not open
}

Result ReceiveReady(int channel, Step step) {
  StatusMessage message;
  if (int error = ReceiveMessage(channel, &message, sizeof(message))) return Fail(step, error);
  message.detail[sizeof(message.detail) - 1] = 0;
  return message.type == StatusType::kConfined ? Ok() : Fail(message.step, message.error, message.detail);
}

}  // namespace

Result Detach(Step step) {
  if (setsid() < 0) return Fail(step, errno, "setsid");
  sigset_t all;
  sigfillset(&all);
  return sigprocmask(SIG_BLOCK, &all, nullptr) == 0 ? Ok() : Fail(step, errno, "sigprocmask");
}

Result KeepOnly(Step step, int* fds, size_t count) {
  ForgetEnvironment();
  UniqueFd null(openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC));
  for (int fd = 0; fd < 3; ++fd) {
    if (!null || dup2(null.get(), fd) < 0) return Fail(step, errno, "/dev/null");
  }
  null.reset();
  std::sort(fds, fds + count);
  int next = 3;
  for (size_t i = 0; i < count; ++i) {
    if (fds[i] < next) return Fail(step, EBADF, "descriptors to keep");
    CloseRange(next, fds[i] - 1);
    next = fds[i] + 1;
  }
  CloseRange(next, INT32_MAX);
  return Ok();
}

Result ForgetPlan(Step step, Jail* jail, Plan* rest, PlanBytes Plan::*filter) {
  Span<uint8_t> bytes = Bytes(jail->blob, jail->plan->*filter);
  if (bytes.size == 0) return Fail(step, EINVAL, "no filter");
  auto* copy = static_cast<uint8_t*>(malloc(bytes.size));  // for the rest of this process's life
  if (copy == nullptr) return Fail(step, ENOMEM);
  memcpy(copy, bytes.data, bytes.size);
  *rest = {};
  rest->flags = jail->plan->flags;
  rest->*filter = {0, static_cast<uint32_t>(bytes.size)};
  PlanBlob whole = jail->blob;
  StepTrace* trace = jail->trace;
  jail->trace = nullptr;
  jail->plan = rest;
  jail->blob.data = copy;
  jail->blob.size = bytes.size;
  if (munmap(const_cast<uint8_t*>(whole.data), whole.size) != 0) return Fail(step, errno, "munmap");
  return trace == nullptr || munmap(trace, sizeof(*trace)) == 0 ? Ok() : Fail(step, errno, "munmap");
}

void ReportReady(int channel, const Result& r, StatusType ready) {
  StatusMessage message = {};
  message.type = r.ok() ? ready : StatusType::kFailed;
  message.step = r.step;
  message.error = r.error;
  memcpy(message.detail, r.detail, sizeof(message.detail));
  (void)SendMessage(channel, &message, sizeof(message));  // if qi-monitor is gone, so is the reader
}

Result AwaitReady(int channel, Step step, pid_t child) {
  Result r = ReceiveReady(channel, step);
  if (r.ok()) return r;
  (void)kill(child, SIGKILL);  // it may be gone already
  (void)RetryEintr([&] { return waitpid(child, nullptr, 0); });
  return r;
}

}  // namespace qi
