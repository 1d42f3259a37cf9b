#include <time.h>

#include "gateway_world.h"

namespace {

using namespace qi_test;
using qi::GatewayMessageType;

constexpr unsigned kNoError = 0, kServFail = 2, kNxDomain = 3;
const std::string kExample = "host allow exact api.example.com tcp 443-443\n";
const std::string kWildcard = "host allow below example.com tcp 443-443\n";
const std::string kPublic = "public allow tcp 1-65535\n";

std::string Silence(const Asked&) { return ""; }

void Sleep(long ms) {
  timespec t = {ms / 1000, ms % 1000 * 1000000};
  (void)nanosleep(&t, nullptr);
}

// All messages that have come on a stream, of which `*rest` may hold a part.
std::vector<std::string> Messages(int fd, std::string* rest) {
  char bytes[8192];
  ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
  if (n > 0) rest->append(bytes, static_cast<size_t>(n));
  std::vector<std::string> found;
  while (rest->size() >= 2) {
    size_t size = World::Id(*rest);
    if (rest->size() < size + 2) break;
    found.push_back(rest->substr(2, size));
    rest->erase(0, size + 2);
  }
  return found;
}

std::string Framed(const std::string& bytes) { return U16(static_cast<unsigned>(bytes.size())) + bytes; }

bool IsClosed(int fd) {
  char byte;
  ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
  return n == 0 || (n < 0 && errno != EAGAIN);
}

}  // namespace

TEST(AnswersAreKeptForTheirTtl) {
  World w(kExample);
  w.upstream.says = [](const Asked& asked) { return AnswerTo(asked, {A("203.0.113.5", 2)}); };
  CHECK_EQ(w.Ask("api.example.com").ttl, 2);
  Sleep(1100);
  Response r = w.Ask("api.example.com");
  CHECK_EQ(r.ttl, 1);  // what is left
  CHECK_EQ(w.upstream.asked.size(), 1);
  CHECK_EQ(w.Told(GatewayMessageType::kResolved).size(), 2);  // told again: qi-monitor's own table is bounded
  Sleep(1000);
  CHECK_EQ(w.Ask("api.example.com").ttl, 2);
  CHECK_EQ(w.upstream.asked.size(), 2);
}

TEST(NothingIsKeptWithoutTtlAndNothingForever) {
  World w(kExample);
  w.upstream.says = [](const Asked& asked) { return AnswerTo(asked, {A("203.0.113.5", 0)}); };
  CHECK_EQ(w.Ask("api.example.com").rcode, kNoError);
  CHECK_EQ(w.Told(GatewayMessageType::kResolved)[0].milliseconds, 300 * 1000);
  w.upstream.says = [](const Asked& asked) { return AnswerTo(asked, {A("203.0.113.5", 0x7fffffff)}); };
  CHECK_EQ(w.Ask("api.example.com").ttl, 24 * 3600);
  CHECK_EQ(w.upstream.asked.size(), 2);
  CHECK_EQ(w.Told(GatewayMessageType::kResolved)[1].milliseconds, (24 * 3600 + 300) * 1000);
}

TEST(KeptAnswersObeyNewRules) {
  World w(kExample);
  CHECK_EQ(w.Ask("api.example.com").rcode, kNoError);
  std::string deny = "host deny exact api.example.com tcp 1-65535\n";
  CHECK_EQ(w.rules.Parse(deny.data(), deny.size(), true), 0);
  w.dns->OnRulesChanged();
  CHECK_EQ(w.Ask("api.example.com").rcode, kNxDomain);
}

TEST(TheCacheIsBounded) {
  static qi::DnsCache cache;
  qi::DnsData data;
  data.address_count = 1;
  for (int i = 0; i < 20000; ++i) {
    data.ttl = 60;
    cache.Put(Host("n" + std::to_string(i) + ".example.com"), 1, qi::AnswerResult::kData, &data, 1000);
  }
  size_t kept = 0;
  for (int i = 0; i < 20000; ++i) {
    qi::AnswerResult result;
    kept += cache.Get(Host("n" + std::to_string(i) + ".example.com"), 1, 2000, &result, &data) ? 1 : 0;
  }
  CHECK(kept > 900 && kept <= 1024);
}

TEST(TheCacheKeepsAliases) {
  static qi::DnsCache cache;
  qi::DnsData data, found;
  data.ttl = 60;
  data.chain_count = 2;
  data.chain[0] = Host("a.example.com");
  data.chain[1] = Host("b.example.net");
  data.address_count = 2;
  CHECK(qi::ParseAddress("203.0.113.1", &data.addresses[0]) && qi::ParseAddress("2001:db8::1", &data.addresses[1]));
  cache.Put(Host("www.example.com"), 1, qi::AnswerResult::kData, &data, 1000);
  qi::AnswerResult result;
  REQUIRE(cache.Get(Host("www.example.com"), 1, 1000, &result, &found));
  CHECK(found.chain_count == 2 && found.chain[0] == data.chain[0] && found.chain[1] == data.chain[1]);
  CHECK(found.address_count == 2 && found.addresses[1] == data.addresses[1]);
  CHECK(!cache.Get(Host("www.example.com"), 28, 1000, &result, &found));
  CHECK(!cache.Get(Host("www.example.com"), 1, 61000, &result, &found));
}

TEST(TheSameQuestionIsAskedOnce) {
  World w(kExample);
  w.times.try_ms = 1000;
  w.times.total_ms = 1500;
  w.upstream.says = Silence;
  w.Start();
  for (unsigned id = 1; id <= 20; ++id) w.SendQuery(World::Query("api.example.com", 1, id));
  CHECK(w.Until([&] { return w.upstream.asked.size() == 1; }));
  CHECK(!w.Until([&] { return w.upstream.asked.size() > 1; }, 100));
  size_t answers = 0;
  CHECK(w.Until([&] {
    std::string bytes;
    while (w.Receive(&bytes)) answers += ReadResponse(bytes, "api.example.com", 1).rcode == kServFail ? 1 : 0;
    return answers == 20;
  }));
}

TEST(AFloodOfSlowNamesLeavesRoomForOthers) {
  World w(kPublic, "hosts 203.0.113.1 known.example.com\n");
  w.times.try_ms = 3000;
  w.times.total_ms = 3000;
  w.upstream.says = Silence;
  w.Start();
  for (int i = 0; i < 1000; ++i) {
    w.SendQuery(World::Query("n" + std::to_string(i) + ".example.org", 1));
    (void)w.poller.Step(0);
  }
  std::string bytes;
  size_t refused = 0;
  (void)w.Until([&] {
    while (w.Receive(&bytes)) refused += ReadResponse(bytes, "x", 1).rcode == kServFail ? 1 : 0;
    return refused >= 1000 - qi::Upstream::kMax;
  });
  CHECK_EQ(w.upstream.asked.size(), qi::Upstream::kMax);
  CHECK(refused > 0);
  CHECK_EQ(w.Ask("known.example.com").rcode, kNoError);
}

TEST(AFloodOfRefusedNamesIsCounted) {
  World w(kExample);
  w.Start();
  size_t answers = 0;
  std::string bytes;
  for (int i = 0; i < 3000; ++i) {
    w.SendQuery(World::Query("n" + std::to_string(i) + ".example.org", 1));
    if (i % 50 == 0) (void)w.Until([&] { return true; });
    while (w.Receive(&bytes)) ++answers;
  }
  (void)w.Until(
      [&] {
        while (w.Receive(&bytes)) ++answers;
        return false;
      },
      300);
  CHECK(answers > 0);
  CHECK_EQ(w.Told(GatewayMessageType::kRefusedName).size(), answers);
  CHECK_EQ(w.Ask("api.example.com").rcode, kNoError);
}

TEST(NewNamesBelowAWildcardAreBraked) {
  World w(kWildcard + kExample + "host allow exact spelled.example.com tcp 443-443\n");
  for (int i = 0; i < 60; ++i) CHECK_EQ(w.Ask("n" + std::to_string(i) + ".example.com").rcode, kNoError);
  CHECK_EQ(w.Ask("one-more.example.com").rcode, kNxDomain);
  CHECK_STREQ(w.LastReason(), "too many new names below a wildcard");
  CHECK_EQ(w.Ask("n3.example.com").rcode, kNoError);      // not new
  CHECK_EQ(w.Ask("n3.example.com", 28).rcode, kNoError);  // neither is its other type
  CHECK_EQ(w.Ask("api.example.com").rcode, kNoError);     // spelled out
  CHECK_EQ(w.Ask("spelled.example.com").rcode, kNoError);
  Sleep(1100);
  CHECK_EQ(w.Ask("one-more.example.com").rcode, kNoError);
  CHECK_EQ(w.Ask("and-one-more.example.com").rcode, kNxDomain);
}

TEST(LongNamesBelowAWildcardAreRefused) {
  World w(kWildcard);
  std::string fifty(50, 'a'), longer = fifty + "." + std::string(50, 'b');
  CHECK_EQ(w.Ask(fifty + "." + std::string(49, 'b') + ".example.com").rcode, kNoError);  // 100
  CHECK_EQ(w.Ask(longer + ".example.com").rcode, kNxDomain);                             // 101
  CHECK_STREQ(w.LastReason(), "too long a name below a wildcard");
}

TEST(TheHostIsAskedOnceForAName) {
  World w(kExample + "ask 5000\n");
  w.Start();
  w.SendQuery(World::Query("new.example.org", 1, 1));
  w.SendQuery(World::Query("new.example.org", 28, 2));
  w.SendQuery(World::Query("new.example.org", 1, 3));
  CHECK(!w.Until([&] { return w.Told(GatewayMessageType::kAskName).size() > 1; }, 100));
  auto asked = w.Told(GatewayMessageType::kAskName);
  REQUIRE(asked.size() == 1);
  CHECK_STREQ(asked[0].name.text, "new.example.org");
  CHECK(asked[0].number != 0);
  CHECK_EQ(w.upstream.asked.size(), 0);
  w.dns->OnHostAnswer(asked[0].number + 1, true);  // another question
  CHECK_EQ(w.upstream.asked.size(), 0);
  w.dns->OnHostAnswer(asked[0].number, true);
  size_t answers = 0;
  CHECK(w.Until([&] {
    std::string bytes;
    while (w.Receive(&bytes)) answers += ReadResponse(bytes, "new.example.org", 1).rcode == kNoError ? 1 : 0;
    return answers == 3;
  }));
  CHECK_EQ(w.upstream.asked.size(), 2);
  CHECK_EQ(w.Told(GatewayMessageType::kResolved).size(), 2);
  CHECK_EQ(w.Ask("new.example.org").rcode, kNoError);  // remembered for a moment
  CHECK_EQ(w.Told(GatewayMessageType::kAskName).size(), 1);
}

TEST(TheHostSaysNo) {
  World w("ask 5000\nhost deny exact bad.example.org tcp 1-65535\n", "search office.example\n");
  w.Start();
  w.SendQuery(World::Query("new.example.org", 1));
  CHECK(w.Until([&] { return w.Told(GatewayMessageType::kAskName).size() == 1; }));
  w.dns->OnHostAnswer(w.Told(GatewayMessageType::kAskName)[0].number, false);
  std::string bytes;
  CHECK(w.Until([&] { return w.Receive(&bytes); }));
  CHECK_EQ(ReadResponse(bytes, "new.example.org", 1).rcode, kNxDomain);
  CHECK_STREQ(w.LastReason(), "the host said no");
  CHECK_EQ(w.Ask("new.example.org.office.example").rcode, kNxDomain);  // libc's next try
  CHECK_EQ(w.Ask("bad.example.org").rcode, kNxDomain);
  CHECK_EQ(w.Told(GatewayMessageType::kAskName).size(), 1);  // what is denied is not asked
}

TEST(TheHostDoesNotAnswer) {
  World w("ask 150\n");
  CHECK_EQ(w.Ask("new.example.org").rcode, kNxDomain);
  CHECK_STREQ(w.LastReason(), "nobody answered in time");
  CHECK_EQ(w.upstream.asked.size(), 0);
}

TEST(QuestionsToTheHostAreBounded) {
  World w("ask 5000\n");
  w.Start();
  for (int i = 0; i < 100; ++i) {
    w.SendQuery(World::Query("n" + std::to_string(i) + ".example.org", 1));
    (void)w.Until([&] { return true; });
  }
  CHECK(w.Until([&] { return w.Told(GatewayMessageType::kRefusedName).size() == 36; }));
  CHECK_EQ(w.Told(GatewayMessageType::kAskName).size(), 64);
}

TEST(TcpQueriesComeInPiecesAndTogether) {
  World w(kExample);
  w.Start();
  qi::UniqueFd fd = w.ConnectTcp();
  std::string both = Framed(World::Query("api.example.com", 1, 1)) + Framed(World::Query("evil.example.net", 1, 2));
  for (char byte : both.substr(0, 20)) {
    (void)!send(fd.get(), &byte, 1, 0);
    (void)w.Until([&] { return true; });
  }
  (void)!send(fd.get(), both.data() + 20, both.size() - 20, 0);
  std::string rest;
  std::vector<std::string> all;
  CHECK(w.Until([&] {
    for (auto& m : Messages(fd.get(), &rest)) all.push_back(m);
    return all.size() == 2;
  }));
  for (const auto& m : all) {
    Response r = ReadResponse(m, "api.example.com", 1);
    CHECK_EQ(r.rcode, r.id == 1 ? kNoError : kNxDomain);
  }
}

TEST(QuietTcpConnectionsEnd) {
  World w(kExample);
  w.Start();
  qi::UniqueFd fd = w.ConnectTcp();
  (void)!send(fd.get(), "\0", 1, 0);
  uint64_t began = qi::NowMs();
  CHECK(w.Until([&] { return IsClosed(fd.get()); }));
  CHECK(qi::NowMs() - began >= 250);
}

TEST(TcpConnectionsAreBounded) {
  World w(kExample);
  w.times.idle_ms = 60000;
  w.Start();
  std::vector<qi::UniqueFd> held;
  for (size_t i = 0; i < qi::DnsTcp::kMax + 8; ++i) {
    held.push_back(w.ConnectTcp());
    (void)w.Until([&] { return true; });
    Sleep(2);
  }
  size_t closed = 0;
  CHECK(w.Until([&] {
    closed = 0;
    for (auto& fd : held) closed += IsClosed(fd.get()) ? 1 : 0;
    return closed == 8;
  }));
  CHECK(IsClosed(held[0].get()));  // the quietest
  std::string query = Framed(World::Query("api.example.com", 1, 1)), rest;
  (void)!send(held.back().get(), query.data(), query.size(), 0);
  CHECK(w.Until([&] { return !Messages(held.back().get(), &rest).empty(); }));
}

TEST(TcpLengthsThatLie) {
  World w(kExample);
  w.Start();
  for (const std::string& bytes : {std::string(2, '\0'), U16(65535) + "x"}) {
    qi::UniqueFd fd = w.ConnectTcp();
    (void)!send(fd.get(), bytes.data(), bytes.size(), 0);
    CHECK(w.Until([&] { return IsClosed(fd.get()); }, 200));
  }
}

TEST(AClientThatDoesNotReadIsLeftAlone) {
  World w(kExample);
  w.times.idle_ms = 60000;
  w.Start();
  qi::UniqueFd fd = w.ConnectTcp();
  std::string many;
  for (int i = 0; i < 100; ++i) many += Framed(World::Query("api.example.com", 1, 1));
  CHECK(w.Until(
      [&] {
        for (int i = 0; i < 20; ++i) (void)!send(fd.get(), many.data(), many.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        char byte;
        return send(fd.get(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN;
      },
      20000));
  CHECK_EQ(w.Ask("api.example.com").rcode, kNoError);
}

CHECK_MAIN()
