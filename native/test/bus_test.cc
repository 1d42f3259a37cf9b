// Asking for a scope, at a bus that answers as it should and at some that do not.
#include <csignal>

#include "cgroup/scope.h"
#include "check.h"
#include "fake_bus.h"

namespace {

using qi_check::BusBytes;
using qi_check::BusPeer;
using qi_check::FakeBus;

constexpr char kUnit[] = "qi-jail-0123abcd.scope";
constexpr char kJob[] = "/org/freedesktop/systemd1/job/5";
constexpr uint64_t kLong = 60000;  // as long as a machine may be slow
constexpr uint64_t kShort = 300;   // for what never comes

std::vector<uint8_t> JobRemoved(const std::string& job, const std::string& unit, const std::string& result) {
  return BusBytes(qi_check::kSignal)
      .Text(1, 'o', "/org/freedesktop/systemd1")
      .Text(2, 's', "org.freedesktop.systemd1.Manager")
      .Text(3, 's', "JobRemoved")
      .Text(8, 'g', "uoss")
      .Body()
      .U32(5)
      .String(job)
      .String(unit)
      .String(result)
      .Done();
}

std::vector<uint8_t> JobReply(uint32_t serial) {
  return BusBytes(qi_check::kReturn).Reply(serial).Text(8, 'g', "o").Body().String(kJob).Done();
}

uint32_t TakeStart(BusPeer* peer) {
  if (!peer->Welcome()) _exit(5);
  peer->AnswerPlainly(2);
  return BusPeer::Serial(peer->Message());
}

qi::Result Ask(const FakeBus& bus, uint64_t timeout_ms = kLong) {
  return qi::StartScope(bus.path(), kUnit, 4711, timeout_ms);
}

void CheckFails(const qi::Result& r, int error, const char* detail) {
  CHECK_EQ(r.step, qi::Step::kAskForScope);
  CHECK_EQ(r.error, error);
  if (strstr(r.detail, detail) == nullptr) CHECK_STREQ(r.detail, detail);
}

}  // namespace

TEST(AScopeIsStarted) {
  FakeBus bus([](BusPeer* peer) {
    uint32_t serial = TakeStart(peer);
    peer->Say(JobReply(serial));
    peer->Say(JobRemoved("/org/freedesktop/systemd1/job/4", "other.scope", "failed"));
    peer->Say(JobRemoved(kJob, kUnit, "done"));
    pause();
  });
  qi::Result r = Ask(bus);
  CHECK_STREQ(r.detail, "");
  CHECK(r.ok());
}

TEST(TheSignalMayComeBeforeTheReply) {
  FakeBus bus([](BusPeer* peer) {
    uint32_t serial = TakeStart(peer);
    peer->Say(JobRemoved(kJob, kUnit, "done"));
    peer->Say(JobReply(serial));
    pause();
  });
  CHECK(Ask(bus).ok());
}

TEST(BytesMayComeOneByOne) {
  FakeBus bus([](BusPeer* peer) {
    uint32_t serial = TakeStart(peer);
    std::vector<uint8_t> bytes = JobReply(serial);
    std::vector<uint8_t> more = JobRemoved(kJob, kUnit, "done");
    bytes.insert(bytes.end(), more.begin(), more.end());
    for (uint8_t byte : bytes) peer->Say(std::vector<uint8_t>{byte});
    pause();
  });
  CHECK(Ask(bus).ok());
}

TEST(TheCallAsksForOurProcessInADelegatedScope) {
  int out[2];
  REQUIRE(pipe(out) == 0);
  FakeBus bus([&](BusPeer* peer) {
    if (!peer->Welcome()) _exit(5);
    peer->AnswerPlainly(2);
    std::vector<uint8_t> call = peer->Message();
    (void)!write(out[1], call.data(), call.size());
  });
  close(out[1]);
  CheckFails(Ask(bus), ECONNRESET, "closed the connection");
  std::vector<uint8_t> call(4096);
  ssize_t n = read(out[0], call.data(), call.size());
  REQUIRE(n > 0);
  qi::BusMessage message;
  REQUIRE(qi::ParseBusMessage(call.data(), static_cast<size_t>(n), &message));
  CHECK_STREQ(message.member, "StartTransientUnit");
  CHECK_STREQ(message.signature, "ssa(sv)a(sa(sv))");
  qi::BusReader body = message.Body();
  const char *unit = "", *mode = "", *name = "", *type = "", *text = "";
  uint32_t size = 0, count = 0, pid = 0, yes = 0;
  CHECK(body.String(&unit) && body.String(&mode) && body.U32(&size));
  CHECK_STREQ(unit, kUnit);
  CHECK_STREQ(mode, "fail");
  CHECK(body.Align(8) && body.String(&name) && body.Signature(&type) && body.U32(&count) && body.U32(&pid));
  CHECK_STREQ(std::string(name) + " " + type, "PIDs au");
  CHECK_EQ(count, 4);
  CHECK_EQ(pid, 4711);
  CHECK(body.Align(8) && body.String(&name) && body.Signature(&type) && body.U32(&yes));
  CHECK_STREQ(std::string(name) + " " + type, "Delegate b");
  CHECK_EQ(yes, 1);
  CHECK(body.Align(8) && body.String(&name) && body.Signature(&type) && body.String(&text));
  CHECK_STREQ(std::string(name) + " " + type + " " + text, "CollectMode s inactive-or-failed");
  CHECK(body.Align(8) && body.String(&name) && body.Signature(&type) && body.String(&text));
  CHECK_STREQ(std::string(name) + " " + type, "Description s");
  CHECK(body.U32(&size) && body.Align(8) && body.AtEnd());
  CHECK_EQ(size, 0);
}

TEST(WhatSystemdSaysIsPassedOn) {
  FakeBus bus([](BusPeer* peer) {
    uint32_t serial = TakeStart(peer);
    peer->Say(BusBytes(qi_check::kError)
                  .Text(4, 's', "org.freedesktop.systemd1.UnitExists")
                  .Reply(serial)
                  .Text(8, 'g', "s")
                  .Body()
                  .String("Unit was already loaded.")
                  .Done());
    pause();
  });
  CheckFails(Ask(bus), EREMOTEIO, "org.freedesktop.systemd1.UnitExists: Unit was already loaded.");
}

TEST(AJobThatFailsIsAFailure) {
  FakeBus bus([](BusPeer* peer) {
    uint32_t serial = TakeStart(peer);
    peer->Say(JobReply(serial));
    peer->Say(JobRemoved(kJob, kUnit, "timeout"));
    pause();
  });
  CheckFails(Ask(bus), EREMOTEIO, "'timeout'");
}

TEST(AnotherUnitsJobIsNotOurs) {
  FakeBus bus([](BusPeer* peer) {
    uint32_t serial = TakeStart(peer);
    peer->Say(JobReply(serial));
    peer->Say(JobRemoved(kJob, "qi-jail-99999999.scope", "done"));
    peer->Say(JobRemoved("/org/freedesktop/systemd1/job/6", kUnit, "done"));
    pause();
  });
  CheckFails(Ask(bus, kShort), ETIMEDOUT, "no answer");
}

TEST(ARefusalOfTheUserIsSaid) {
  FakeBus bus([](BusPeer* peer) {
    (void)peer->Line();
    peer->Say("REJECTED EXTERNAL\r\n");
    pause();
  });
  CheckFails(Ask(bus), EACCES, "refuses this user");
}

TEST(WhatIsNoBusIsToldFromOne) {
  FakeBus endless([](BusPeer* peer) { peer->Say(std::string(100000, 'x')), pause(); });
  CheckFails(Ask(endless), EPROTO, "does not speak D-Bus");
  FakeBus early([](BusPeer* peer) {
    (void)peer->Line();
    peer->Say("OK 01\r\nl\x04");
    pause();
  });
  CheckFails(Ask(early), EPROTO, "does not speak D-Bus");
  FakeBus mute([](BusPeer*) { pause(); });
  CheckFails(Ask(mute, kShort), ETIMEDOUT, "no answer");
  FakeBus gone([](BusPeer*) {});
  qi::Result r = Ask(gone);
  CHECK(r.error == ECONNRESET || r.error == EPIPE);
  CheckFails(qi::StartScope("/tmp/qi-no-such-bus", kUnit, 1, kLong), ENOENT, "/tmp/qi-no-such-bus");
  CheckFails(qi::StartScope(("/" + std::string(200, 'x')).c_str(), kUnit, 1, kLong), ENAMETOOLONG, "bus socket");
}

TEST(HugeAndMalformedMessagesEndIt) {
  FakeBus huge([](BusPeer* peer) {
    (void)TakeStart(peer);
    std::vector<uint8_t> bytes = BusBytes(qi_check::kSignal).Done();
    bytes[7] = 0x07;  // a body of 112 MiB
    peer->Say(bytes);
    pause();
  });
  CheckFails(Ask(huge), EMSGSIZE, "too long");
  FakeBus malformed([](BusPeer* peer) {
    (void)TakeStart(peer);
    std::vector<uint8_t> bytes = JobRemoved(kJob, kUnit, "done");
    bytes[20] = 0xff;  // the length of the first header field's text
    peer->Say(bytes);
    pause();
  });
  CheckFails(Ask(malformed), EPROTO, "malformed");
  FakeBus other([](BusPeer* peer) {
    uint32_t serial = TakeStart(peer);
    peer->Say(BusBytes(qi_check::kReturn).Reply(serial).Text(8, 'g', "s").Body().String(kJob).Done());
    pause();
  });
  CheckFails(Ask(other), EPROTO, "StartTransientUnit");
}

TEST(ABusThatTalksForeverMeetsTheDeadline) {
  FakeBus bus([](BusPeer* peer) {
    (void)TakeStart(peer);
    for (;;) peer->Say(JobRemoved("/job/1", "other.scope", "done"));
  });
  CheckFails(Ask(bus, kShort), ETIMEDOUT, "no answer");
}

CHECK_MAIN()
