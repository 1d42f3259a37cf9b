#include "gateway/gateway.h"

#include <csignal>
#include <memory>
#include <new>

#include "core/try.h"
#include "gateway/confine.h"
#include "gateway/gateway_loop.h"
#include "monitor/channel.h"
#include "monitor/helper.h"

namespace qi {
namespace {

constexpr size_t kMaxRelays = 256;
constexpr Step kStep = Step::kConfineGateway;

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

// Its ports and choices are read while the plan is there.
Result ConfineWithoutPlan(Jail jail) {
  uint16_t ports[kMaxRelays + 1];
  size_t count = TcpPorts(jail, ports);
  bool optional = jail.Has(kPlanLandlockOptional) || jail.plan->landlock_fs == 0;
  Plan rest;
  QI_TRY(ForgetPlan(kStep, &jail, &rest, &Plan::gateway_filter));
  return Confine(jail, ports, count, optional);
}

Result Prepare(const Jail& jail, const int* sockets, size_t count, pid_t parent, int channel, GatewayLoop* loop) {
  QI_TRY(BecomeNobody(jail, parent));
  int keep[kMaxRelays + 1];
  for (size_t i = 0; i < count; ++i) keep[i] = sockets[i];
  keep[count] = channel;
  QI_TRY(KeepOnly(kStep, keep, count + 1));
  QI_TRY(Assemble(jail, sockets, channel, loop));
  return ConfineWithoutPlan(jail);
}

[[noreturn]] void RunGateway(const Jail& jail, const int* sockets, size_t count, pid_t parent, int channel) {
  (void)signal(SIGPIPE, SIG_IGN);  // splice(2) knows no MSG_NOSIGNAL; cannot fail
  auto* loop = new (std::nothrow) GatewayLoop;
  Result r = loop == nullptr ? Fail(kStep, ENOMEM) : Prepare(jail, sockets, count, parent, channel, loop);
  ReportReady(channel, r);
  if (r.ok()) loop->Run();
  _exit(r.ok() ? 0 : 125);
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
  QI_TRY(AwaitReady(mine.get(), Step::kStartGateway, child));
  *channel = std::move(mine);
  if (pid != nullptr) *pid = child;
  return Ok();
}

}  // namespace qi
