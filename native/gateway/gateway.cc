#include "gateway/gateway.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include <csignal>
#include <memory>
#include <new>

#include "core/try.h"
#include "gateway/confine.h"
#include "gateway/gateway_loop.h"
#include "monitor/channel.h"

namespace qi {
namespace {

constexpr size_t kMaxRelays = 256;
constexpr Step kStep = Step::kConfineGateway;

void Report(int channel, const Result& r) {
  StatusMessage message = {};
  message.type = r.ok() ? StatusType::kConfined : StatusType::kFailed;
  message.step = r.step;
  message.error = r.error;
  memcpy(message.detail, r.detail, sizeof(message.detail));
  (void)SendMessage(channel, &message, sizeof(message));  // if qi-monitor is gone, so is the reader
}

Result Assemble(const Jail& jail, const int* sockets, int channel, GatewayLoop* loop) {
  const Plan& plan = *jail.plan;
  size_t descriptors = 0;
  QI_TRY(RaiseDescriptorLimit(&descriptors));
  if (!loop->Init(UniqueFd(channel), descriptors)) return Fail(kStep, errno, "epoll");
  if (!loop->SetRules(jail.Text(plan.network_rules), plan.network_rules.length))
    return Fail(kStep, EINVAL, "network rules");
  if (!loop->SetResolver(jail.Text(plan.resolver), plan.resolver.length)) return Fail(kStep, EINVAL, "resolver");
  Span<Relay> relays = List(jail.blob, plan.relays);
  for (size_t i = 0; i < relays.size; ++i) {
    errno = ENOSPC;
    if (!loop->Add(relays[i], sockets[i])) return Fail(kStep, errno, "relay socket");
  }
  return Ok();
}

// Where TCP leads: to resolvers, for answers that are too long for UDP, and to what is inspected.
size_t TcpPorts(const Jail& jail, uint16_t (&ports)[kMaxRelays + 1]) {
  size_t count = 0;
  ports[count++] = 53;
  for (const Relay& relay : List(jail.blob, jail.plan->relays)) {
    if (relay.kind == RelayKind::kInspect) ports[count++] = static_cast<uint16_t>(relay.port);
  }
  return count;
}

// The plan holds the payload's environment: it leaves this process before anything can be asked of it. What the last
// steps need is a plan with nothing but the filter.
Result ConfineWithout(Jail jail) {
  uint16_t ports[kMaxRelays + 1];
  size_t count = TcpPorts(jail, ports);
  bool optional = jail.Has(kPlanLandlockOptional) || jail.plan->landlock_fs == 0;
  Plan rest = {};
  rest.gateway_filter = {0, jail.plan->gateway_filter.length};
  std::unique_ptr<uint8_t[]> filter(new (std::nothrow) uint8_t[rest.gateway_filter.length + 1u]);
  if (filter == nullptr) return Fail(kStep, ENOMEM);
  if (rest.gateway_filter.length == 0) return Fail(kStep, EINVAL, "no filter");
  Span<uint8_t> bytes = Bytes(jail.blob, jail.plan->gateway_filter);
  memcpy(filter.get(), bytes.data, bytes.size);
  if (munmap(const_cast<uint8_t*>(jail.blob.data), jail.blob.size) != 0) return Fail(kStep, errno, "munmap");
  if (jail.trace != nullptr && munmap(jail.trace, sizeof(*jail.trace)) != 0) return Fail(kStep, errno, "munmap");
  jail.trace = nullptr;
  jail.plan = &rest;
  jail.blob.data = filter.get();
  jail.blob.size = rest.gateway_filter.length;
  return Confine(jail, ports, count, optional);
}

Result Prepare(const Jail& jail, const int* sockets, size_t count, pid_t parent, int channel, GatewayLoop* loop) {
  QI_TRY(BecomeNobody(jail, parent));
  int keep[kMaxRelays + 1];
  for (size_t i = 0; i < count; ++i) keep[i] = sockets[i];
  keep[count] = channel;
  QI_TRY(KeepOnly(keep, count + 1));
  QI_TRY(Assemble(jail, sockets, channel, loop));
  return ConfineWithout(jail);
}

[[noreturn]] void RunGateway(const Jail& jail, const int* sockets, size_t count, pid_t parent, int channel) {
  (void)signal(SIGPIPE, SIG_IGN);  // splice(2) knows no MSG_NOSIGNAL; cannot fail
  auto* loop = new (std::nothrow) GatewayLoop;
  Result r = loop == nullptr ? Fail(kStep, ENOMEM) : Prepare(jail, sockets, count, parent, channel, loop);
  Report(channel, r);
  if (r.ok()) loop->Run();
  _exit(r.ok() ? 0 : 125);
}

Result AwaitConfined(int channel) {
  StatusMessage message;
  if (int error = ReceiveMessage(channel, &message, sizeof(message))) return Fail(Step::kStartGateway, error);
  message.detail[sizeof(message.detail) - 1] = 0;
  return message.type == StatusType::kConfined ? Ok() : Fail(message.step, message.error, message.detail);
}

}  // namespace

Result StartGateway(const Jail& jail, const int* sockets, size_t count, UniqueFd* channel, pid_t* pid) {
  QI_BEGIN(jail, Step::kStartGateway);
  if (count > kMaxRelays || count != jail.plan->relays.count) return Fail(Step::kStartGateway, EINVAL, "relay sockets");
  UniqueFd mine, theirs;
  if (!MakeChannel(&mine, &theirs)) return Fail(Step::kStartGateway, errno, "channel");
  pid_t parent = getpid();
  pid_t child = fork();
  if (child < 0) return Fail(Step::kStartGateway, errno, "fork");
  if (child == 0) RunGateway(jail, sockets, count, parent, theirs.release());
  theirs.reset();  // or its end of file would never be seen
  Result r = AwaitConfined(mine.get());
  if (!r.ok()) {
    (void)kill(child, SIGKILL);  // it may be gone already
    (void)RetryEintr([&] { return waitpid(child, nullptr, 0); });
    return r;
  }
  *channel = std::move(mine);
  if (pid != nullptr) *pid = child;
  return Ok();
}

}  // namespace qi
