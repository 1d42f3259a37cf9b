#include "gateway_world.h"

namespace {

using namespace qi_test;
using qi::GatewayMessageType;

constexpr unsigned kNoError = 0, kServFail = 2, kNxDomain = 3;
const std::string kExample = "host allow exact api.example.com tcp 443-443\n";

}  // namespace

TEST(AnAllowedNameIsAnsweredAndToldBefore) {
  World w(kExample);
  Response r = w.Ask("api.example.com");
  CHECK_EQ(r.rcode, kNoError);
  REQUIRE(r.addresses.size() == 1);
  CHECK_STREQ(r.addresses[0], "203.0.113.5");
  auto told = w.Told(GatewayMessageType::kResolved);
  REQUIRE(told.size() == 1);
  CHECK_STREQ(told[0].name.text, "api.example.com");
  CHECK_EQ(told[0].milliseconds, (60 + 300) * 1000);
  CHECK_EQ(told[0].trusted, 0);
  qi::IpAddress a;
  CHECK(qi::ParseAddress("203.0.113.5", &a));
  CHECK(told[0].address == a);
  CHECK(w.records.Next(a, qi::NowMs()) != nullptr);
  CHECK_EQ(w.Told(GatewayMessageType::kRefusedName).size(), 0);
}

TEST(WhatCannotBeToldIsNotAnswered) {
  World w(kExample);
  w.Start();
  w.CloseChannel();
  CHECK(!w.Ask("api.example.com", 1, 300).came);
  CHECK(!w.Ask("evil.example.net", 1, 300).came);
  CHECK_EQ(w.records.size(), 0);
}

TEST(AaaaAndUpperCase) {
  World w(kExample);
  Response r = w.Ask("API.Example.COM", 28);
  REQUIRE(r.addresses.size() == 1);
  CHECK_STREQ(r.addresses[0], "2001:db8::5");
  CHECK(r.bytes.find("Example") != std::string::npos);  // the client's own spelling
  CHECK_STREQ(w.upstream.asked[0].name, "api.example.com");
}

TEST(ARefusedNameIsNxdomainAndToldEachTime) {
  World w(kExample);
  for (int i = 0; i < 3; ++i) {
    Response r = w.Ask("evil.example.net");
    CHECK(r.came);
    CHECK_EQ(r.rcode, kNxDomain);
    CHECK_EQ(r.answers, 0);
  }
  auto told = w.Told(GatewayMessageType::kRefusedName);
  REQUIRE(told.size() == 3);
  CHECK_STREQ(told[0].name.text, "evil.example.net");
  CHECK_EQ(told[0].number, 1);
  CHECK_STREQ(told[0].reason, "no rule allows this host");
  CHECK_EQ(w.upstream.asked.size(), 0);
}

TEST(ADeniedNameBelowAnAllowedOne) {
  World w("host allow below example.com tcp 1-65535\nhost deny exact bad.example.com tcp 1-65535\n");
  CHECK_EQ(w.Ask("good.example.com").rcode, kNoError);
  CHECK_EQ(w.Ask("bad.example.com").rcode, kNxDomain);
  CHECK_STREQ(w.LastReason(), "the host is denied");
  CHECK_EQ(w.Ask("example.com").rcode, kNxDomain);
  CHECK_EQ(w.Ask("badexample.com").rcode, kNxDomain);
}

TEST(OtherTypesHaveNoData) {
  World w(kExample);
  for (uint16_t type : {15, 16, 33, 64, 65, 255}) {
    Response r = w.Ask("api.example.com", type);
    CHECK(r.came);
    CHECK_EQ(r.rcode, kNoError);
    CHECK_EQ(r.answers, 0);
    CHECK_EQ(w.Ask("evil.example.net", type).rcode, kNxDomain);
  }
  CHECK_EQ(w.upstream.asked.size(), 0);
}

TEST(NotAHostName) {
  World w(kExample);
  w.Start();
  w.SendQuery(Header(9, 0x0100, 1, 0, 0, 0) + Question(Label("a b") + Wire("example.com"), 1));
  std::string bytes;
  CHECK(w.Until([&] { return w.Receive(&bytes); }));
  CHECK_EQ(ReadResponse(bytes, "x", 1).rcode, kNxDomain);
  CHECK_STREQ(w.LastReason(), "not a host name");
}

TEST(GarbageIsAnsweredOrNotAndHarmsNobody) {
  World w(kExample);
  w.Start();
  for (const std::string& bytes : {std::string(""), std::string("x"), std::string(12, '\0'), std::string(4000, '\xff'),
                                   Header(9, 0x8180, 1, 0, 0, 0) + Question(Wire("api.example.com"), 1)}) {
    w.SendQuery(bytes);
  }
  CHECK_EQ(w.Ask("api.example.com").rcode, kNoError);
}

TEST(UpstreamSaysNo) {
  World w(kExample);
  w.upstream.says = [](const Asked& asked) { return AnswerTo(asked, {}, 0x8183); };
  CHECK_EQ(w.Ask("api.example.com").rcode, kNxDomain);
  CHECK_EQ(w.Ask("api.example.com").rcode, kNxDomain);
  CHECK_EQ(w.upstream.asked.size(), 1);                          // kept for a moment
  CHECK_EQ(w.Told(GatewayMessageType::kRefusedName).size(), 0);  // nobody refused anything
  w.upstream.says = [](const Asked& asked) { return AnswerTo(asked, {}); };
  Response r = w.Ask("api.example.com", 28);
  CHECK_EQ(r.rcode, kNoError);
  CHECK_EQ(r.answers, 0);
}

TEST(SilenceIsServfailInTime) {
  World w(kExample);
  w.upstream.says = [](const Asked&) { return std::string(); };
  uint64_t began = qi::NowMs();
  CHECK_EQ(w.Ask("api.example.com").rcode, kServFail);
  uint64_t took = qi::NowMs() - began;
  CHECK(took >= 500 && took < 900);
  REQUIRE(w.upstream.asked.size() == 3);
  CHECK(w.upstream.asked[0].bytes.substr(0, 2) != w.upstream.asked[1].bytes.substr(0, 2) ||
        w.upstream.asked[1].bytes.substr(0, 2) != w.upstream.asked[2].bytes.substr(0, 2));
}

TEST(NobodyListensThere) {
  World w(kExample);
  w.resolver.port = PortOf(Bound(SOCK_DGRAM).get());  // closed again
  uint64_t began = qi::NowMs();
  CHECK_EQ(w.Ask("api.example.com").rcode, kServFail);
  CHECK(qi::NowMs() - began < 300);  // the network said so at once
}

TEST(NoResolverAtAll) {
  World w(kExample);
  w.resolver.server_count = 0;
  CHECK_EQ(w.Ask("api.example.com").rcode, kServFail);
}

TEST(TheNextResolverIsAsked) {
  World w(kExample, "nameserver 127.0.0.2\n");
  FakeResolver second;
  CHECK(second.Open(2, w.resolver.port) == w.resolver.port);
  w.others.push_back(&second);
  w.upstream.says = [](const Asked&) { return std::string(); };
  CHECK_EQ(w.Ask("api.example.com").rcode, kNoError);
  CHECK_EQ(second.asked.size(), 1);
  w.upstream.says = [](const Asked& asked) { return AnswerTo(asked, {}, 0x8182); };  // SERVFAIL
  CHECK_EQ(w.Ask("api.example.com", 28).rcode, kNoError);
  CHECK_EQ(second.asked.size(), 2);
}

TEST(AnswersThatAreNotOursAreNotTaken) {
  World w(kExample);
  int turn = 0;
  w.upstream.says = [&](const Asked& asked) {
    Asked other = asked;
    if (turn++ == 0)
      other.bytes[0] = static_cast<char>(other.bytes[0] ^ 1);  // another id
    else
      other.name = "www.example.com";
    return AnswerTo(other, {A("203.0.113.66")});
  };
  CHECK_EQ(w.Ask("api.example.com").rcode, kServFail);
  CHECK_EQ(w.Told(GatewayMessageType::kResolved).size(), 0);
}

TEST(CutAnswersAreAskedForOverTcp) {
  World w(kExample);
  w.upstream.says = [](const Asked& asked) {
    return asked.tcp ? AnswerTo(asked, {A("203.0.113.7")}) : AnswerTo(asked, {}, 0x8380);
  };
  Response r = w.Ask("api.example.com");
  REQUIRE(r.addresses.size() == 1);
  CHECK_STREQ(r.addresses[0], "203.0.113.7");
  CHECK_EQ(w.upstream.asked.size(), 2);
}

TEST(AnswersTooLongForTheClientComeOverTcp) {
  World w(kExample);
  std::vector<std::string> many;
  for (int i = 1; i <= 32; ++i) many.push_back(A(("203.0.113." + std::to_string(i)).c_str()));
  w.upstream.says = [&](const Asked& asked) { return AnswerTo(asked, many); };
  Response r = w.Ask("api.example.com");
  CHECK(r.truncated);
  CHECK_EQ(r.answers, 0);
  CHECK(r.bytes.size() <= 512);
  qi::UniqueFd fd = w.ConnectTcp();
  std::string query = World::Query("api.example.com", 1), bytes;
  query = U16(static_cast<unsigned>(query.size())) + query;
  CHECK_EQ(send(fd.get(), query.data(), query.size(), 0), static_cast<long>(query.size()));
  CHECK(w.Until([&] {
    char room[4096];
    ssize_t n = recv(fd.get(), room, sizeof(room), 0);
    if (n > 0) bytes.append(room, static_cast<size_t>(n));
    return bytes.size() > 2 && bytes.size() >= World::Id(bytes) + 2;
  }));
  CHECK_EQ(ReadResponse(bytes.substr(2), "api.example.com", 1).addresses.size(), 32);
  // With EDNS it fits at once.
  w.SendQuery(Header(9, 0x0100, 1, 0, 0, 1) + Question(Wire("api.example.com"), 1) + Opt(4096));
  CHECK(w.Until([&] { return w.Receive(&bytes); }));
  CHECK_EQ(ReadResponse(bytes, "api.example.com", 1).addresses.size(), 32);
}

TEST(AliasesAreFollowedAndDeniedOnesEndTheName) {
  World w(kExample + "host deny exact cdn.example.net tcp 1-65535\n");
  std::string target = "cdn.example.org";
  w.upstream.says = [&](const Asked& asked) {
    return AnswerTo(asked, {Rr(Pointer(12), 5, 60, Wire(target)), Rr(Wire(target), 1, 60, Bytes4("203.0.113.8"))});
  };
  Response r = w.Ask("api.example.com");
  REQUIRE(r.addresses.size() == 1);
  CHECK_EQ(r.answers, 2);
  CHECK_STREQ(w.Told(GatewayMessageType::kResolved)[0].name.text, "api.example.com");
  target = "cdn.example.net";
  w.told.clear();
  World w2(kExample + "host deny exact cdn.example.net tcp 1-65535\n");
  w2.upstream.says = w.upstream.says;
  r = w2.Ask("api.example.com");
  CHECK_EQ(r.rcode, kNxDomain);
  CHECK_EQ(r.answers, 0);
  CHECK_STREQ(w2.LastReason(), "an alias of cdn.example.net, which is denied");
  CHECK_EQ(w2.Told(GatewayMessageType::kResolved).size(), 0);
}

TEST(ACnameQuestion) {
  World w(kExample);
  w.upstream.says = [](const Asked& asked) {
    return AnswerTo(asked, {Rr(Pointer(12), 5, 60, Wire("cdn.example.org"))});
  };
  Response r = w.Ask("api.example.com", 5);
  CHECK_EQ(r.rcode, kNoError);
  CHECK_EQ(r.answers, 1);
}

TEST(NamesThatLeadInsideAreRefused) {
  struct Case {
    uint16_t type;
    const char* address;
    const char* reason;  // "": no such answer is read to begin with
  };
  const Case cases[] = {{1, "127.0.0.1", "it resolves to 127.0.0.1, which is loopback"},
                        {1, "0.0.0.0", "it resolves to 0.0.0.0, which is unspecified"},
                        {1, "10.1.2.3", "it resolves to 10.1.2.3, which is private"},
                        {1, "192.168.1.1", "it resolves to 192.168.1.1, which is private"},
                        {1, "100.64.0.1", "it resolves to 100.64.0.1, which is private"},
                        {1, "169.254.169.254", "it resolves to 169.254.169.254, which is link-local"},
                        {1, "224.0.0.1", "it resolves to 224.0.0.1, which is multicast"},
                        {28, "::1", "it resolves to ::1, which is loopback"},
                        {28, "::ffff:127.0.0.1", ""},
                        {28, "::ffff:10.0.0.1", ""},
                        {28, "fd00:ec2::254", "it resolves to fd00:ec2::254, which is private"},
                        {28, "fe80::1", "it resolves to fe80::1, which is link-local"},
                        {28, "64:ff9b::7f00:1", "it resolves to 64:ff9b::7f00:1, which is loopback"}};
  for (const Case& c : cases) {
    World w(kExample);
    w.upstream.says = [&](const Asked& asked) {
      return AnswerTo(asked, {c.type == 1 ? A(c.address) : Aaaa(c.address)});
    };
    Response r = w.Ask("api.example.com", c.type);
    CHECK_EQ(r.answers, 0);
    CHECK_STREQ(w.LastReason(), c.reason);
    CHECK_EQ(w.Told(GatewayMessageType::kResolved).size(), 0);
    CHECK_EQ(w.records.size(), 0);
  }
}

TEST(InsideAddressesAmongPublicOnesAreLeftOut) {
  World w(kExample);
  w.upstream.says = [](const Asked& asked) {
    return AnswerTo(asked, {A("10.0.0.1"), A("203.0.113.9"), A("169.254.169.254")});
  };
  Response r = w.Ask("api.example.com");
  REQUIRE(r.addresses.size() == 1);
  CHECK_STREQ(r.addresses[0], "203.0.113.9");
  CHECK_EQ(w.Told(GatewayMessageType::kRefusedName).size(), 0);
}

TEST(AListedNetworkMayBeLedTo) {
  World w(kExample + "net allow 10.0.0.0/8 tcp 443-443\n");
  w.upstream.says = [](const Asked& asked) { return AnswerTo(asked, {A("10.0.0.1"), A("192.168.0.1")}); };
  Response r = w.Ask("api.example.com");
  REQUIRE(r.addresses.size() == 1);
  CHECK_STREQ(r.addresses[0], "10.0.0.1");
}

TEST(TheHostsFileComesFirstAndIsTrusted) {
  World w(kExample,
          "hosts 10.9.8.7 api.example.com\nhosts fd00::7 api.example.com\nhosts 10.9.8.8 other.example.com\n");
  Response r = w.Ask("api.example.com");
  REQUIRE(r.addresses.size() == 1);
  CHECK_STREQ(r.addresses[0], "10.9.8.7");
  r = w.Ask("api.example.com", 28);
  REQUIRE(r.addresses.size() == 1);
  CHECK_STREQ(r.addresses[0], "fd00::7");
  auto told = w.Told(GatewayMessageType::kResolved);
  REQUIRE(told.size() == 2);
  CHECK_EQ(told[0].trusted, 1);
  CHECK_EQ(w.Ask("other.example.com").rcode, kNxDomain);  // no rule names it
  CHECK_EQ(w.upstream.asked.size(), 0);
}

TEST(LocalhostIsTheJailsOwn) {
  World w("");
  Response r = w.Ask("localhost");
  REQUIRE(r.addresses.size() == 1);
  CHECK_STREQ(r.addresses[0], "127.0.0.1");
  CHECK_STREQ(w.Ask("a.localhost", 28).addresses.at(0), "::1");
  CHECK_EQ(w.told.size(), 0);
}

TEST(TheSearchList) {
  World w(
      "host allow exact db tcp 5432-5432\nhost allow below corp.example tcp 1-65535\n"
      "host deny exact db.bad.example tcp 1-65535\n",
      "search office.example\nsearch bad.example\n");
  CHECK_EQ(w.Ask("db.office.example").rcode, kNoError);
  auto told = w.Told(GatewayMessageType::kResolved);
  REQUIRE(told.size() == 1);
  CHECK_STREQ(told[0].name.text, "db");  // the name that the rules know
  CHECK_STREQ(w.upstream.asked[0].name, "db.office.example");
  CHECK_EQ(w.Ask("db").rcode, kNoError);
  CHECK_EQ(w.Ask("db.bad.example").rcode, kNxDomain);  // denied wins
  CHECK_EQ(w.Ask("x.office.example").rcode, kNxDomain);
  CHECK_EQ(w.Ask("a.corp.example.office.example").rcode, kNxDomain);  // a wildcard is not spelled out
}

CHECK_MAIN()
