#include "network/rules.h"

#include <arpa/inet.h>

#include <cerrno>
#include <cstring>

#include "check.h"

namespace {

using qi::AddressClass;
using qi::IpAddress;
using qi::Name;
using qi::Records;
using qi::Rules;
using qi::Transport;

IpAddress Ip(const char* text) {
  IpAddress ip;
  CHECK(qi::ParseAddress(text, &ip));
  return ip;
}

Name N(const char* text) {
  Name name;
  CHECK(qi::ParseName(text, strlen(text), &name));
  return name;
}

void Load(Rules* rules, const char* text, bool add = false) { CHECK_EQ(rules->Parse(text, strlen(text), add), 0u); }

void Answered(Records* records, const char* name, const char* address, uint64_t until = 1000, bool trusted = false) {
  qi::Record record;
  record.name = N(name);
  record.address = Ip(address);
  record.expires_ms = until;
  record.trusted = trusted;
  records->Add(record, 0);
}

bool May(const Rules& rules, const Records& records, const char* address, uint16_t port, uint64_t now = 1,
         Transport transport = Transport::kTcp) {
  return rules.Judge(Ip(address), port, transport, records, now).allowed;
}

}  // namespace

TEST(Classes) {
  const struct {
    const char* address;
    AddressClass name;
  } kCases[] = {
      {"8.8.8.8", AddressClass::kPublic},
      {"203.0.113.10", AddressClass::kPublic},
      {"2606:4700::1111", AddressClass::kPublic},
      {"127.0.0.1", AddressClass::kLoopback},
      {"127.255.255.254", AddressClass::kLoopback},
      {"::1", AddressClass::kLoopback},
      {"::ffff:127.0.0.1", AddressClass::kLoopback},
      {"::127.0.0.1", AddressClass::kLoopback},
      {"64:ff9b::7f00:1", AddressClass::kLoopback},
      {"2002:7f00:1::", AddressClass::kLoopback},
      {"0.0.0.0", AddressClass::kUnspecified},
      {"0.1.2.3", AddressClass::kUnspecified},
      {"::", AddressClass::kUnspecified},
      {"::ffff:0.0.0.0", AddressClass::kUnspecified},
      {"169.254.169.254", AddressClass::kLinkLocal},
      {"::ffff:169.254.169.254", AddressClass::kLinkLocal},
      {"64:ff9b::a9fe:a9fe", AddressClass::kLinkLocal},
      {"fe80::1", AddressClass::kLinkLocal},
      {"febf::1", AddressClass::kLinkLocal},
      {"10.1.2.3", AddressClass::kPrivate},
      {"172.31.255.255", AddressClass::kPrivate},
      {"172.32.0.0", AddressClass::kPublic},
      {"192.168.0.1", AddressClass::kPrivate},
      {"100.100.100.200", AddressClass::kPrivate},
      {"fd00:ec2::254", AddressClass::kPrivate},
      {"fec0::1", AddressClass::kPrivate},
      {"64:ff9b:1::1", AddressClass::kPrivate},
      {"2001:0:1:2:3:4:f5ff:fffe", AddressClass::kPrivate},  // Teredo of 10.0.0.1
      {"224.0.0.1", AddressClass::kMulticast},
      {"255.255.255.255", AddressClass::kMulticast},
      {"ff02::1", AddressClass::kMulticast},
      {"240.0.0.1", AddressClass::kReserved},
      {"198.18.0.1", AddressClass::kReserved},
  };
  for (const auto& c : kCases) CHECK_STREQ(qi::ClassName(qi::Classify(Ip(c.address))), qi::ClassName(c.name));
}

TEST(NamesHaveOneSpelling) {
  CHECK_STREQ(N("API.Example.COM.").text, "api.example.com");
  CHECK_STREQ(N("xn--bcher-kva.example").text, "xn--bcher-kva.example");
  Name name;
  for (const char* bad : {"", ".", "..", "a..b", ".a", "a b", "a\tb", "a\nb",
                          "b\xc3\xbc"
                          "cher.example",
                          "a/b", "a%00b", "*.example.com", "a,b", "exa\x7fmple.com"}) {
    CHECK(!qi::ParseName(bad, strlen(bad), &name));
  }
  CHECK(!qi::ParseName("a\0b", 3, &name));
  std::string label(63, 'a'), longest = label + "." + label + "." + label + "." + std::string(61, 'a');
  CHECK(qi::ParseName(longest.data(), longest.size(), &name));
  CHECK_EQ(name.size, 253);
  longest += "a";
  CHECK(!qi::ParseName(longest.data(), longest.size(), &name));
  CHECK(!qi::ParseName((label + "a").c_str(), 64, &name));
}

TEST(WildcardsStopAtLabels) {
  CHECK(qi::IsBelow(N("a.example.com"), N("example.com")));
  CHECK(qi::IsBelow(N("a.b.example.com"), N("example.com")));
  CHECK(!qi::IsBelow(N("example.com"), N("example.com")));
  CHECK(!qi::IsBelow(N("badexample.com"), N("example.com")));
  CHECK(!qi::IsBelow(N("com"), N("example.com")));
  CHECK(!qi::IsBelow(N("example.com.evil.net"), N("example.com")));
}

TEST(EmptyMeansNothing) {
  Rules rules;
  Records records;
  Load(&rules, "");
  CHECK(!May(rules, records, "203.0.113.10", 443));
  CHECK(!rules.JudgeName(N("example.com")).allowed);
  CHECK(!rules.IsLoopbackPort(0));
  CHECK(!rules.IsPublished(80));
}

TEST(NamesOpenOnlyWhatTheyWereAnsweredWith) {
  Rules rules;
  Records records;
  Load(&rules, "host allow exact api.example.com tcp 443-443\nhost allow below cdn.example.com tcp 1-65535\n");
  CHECK(!May(rules, records, "203.0.113.10", 443));
  Answered(&records, "api.example.com", "203.0.113.10");
  CHECK(May(rules, records, "203.0.113.10", 443));
  CHECK(May(rules, records, "::ffff:203.0.113.10", 443));
  CHECK(!May(rules, records, "203.0.113.10", 80));
  CHECK(!May(rules, records, "203.0.113.11", 443));
  CHECK(!May(rules, records, "203.0.113.10", 443, 1, Transport::kUdp));
  CHECK(!May(rules, records, "203.0.113.10", 443, 1000));  // the record ran out
  Answered(&records, "x.cdn.example.com", "203.0.113.10");
  CHECK(May(rules, records, "203.0.113.10", 80));
  CHECK(!May(rules, records, "203.0.113.10", 0));
  CHECK(rules.JudgeName(N("api.example.com")).allowed);
  const Name* below = nullptr;
  CHECK(rules.JudgeName(N("x.cdn.example.com"), &below).allowed);
  CHECK(below != nullptr && strcmp(below->text, "cdn.example.com") == 0);
  CHECK(!rules.JudgeName(N("cdn.example.com")).allowed);
}

TEST(NamesDoNotLeadInside) {
  Rules rules;
  Records records;
  Load(&rules, "host allow exact api.example.com tcp 1-65535\n");
  for (const char* address :
       {"127.0.0.1", "::1", "10.1.2.3", "192.168.7.7", "169.254.169.254", "fd00:ec2::254", "fe80::1", "::ffff:10.1.2.3",
        "64:ff9b::a01:203", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255"}) {
    Answered(&records, "api.example.com", address);
    CHECK(!May(rules, records, address, 443));
  }
  Answered(&records, "api.example.com", "203.0.113.10");
  CHECK(May(rules, records, "203.0.113.10", 443));
  // The host's own table of names is its owner's word, but loopback is still the jail's.
  Answered(&records, "api.example.com", "10.9.9.9", 1000, true);
  CHECK(May(rules, records, "10.9.9.9", 443));
  Answered(&records, "api.example.com", "127.0.0.9", 1000, true);
  CHECK(!May(rules, records, "127.0.0.9", 443));
  // A listed network opens it for names too.
  Load(&rules, "net allow 10.0.0.0/8 tcp 443-443\n", true);
  CHECK(May(rules, records, "10.1.2.3", 443));
  CHECK(!May(rules, records, "192.168.7.7", 443));
}

TEST(NetworksCoverWhatTheyWereMeantFor) {
  Rules rules;
  Records records;
  Load(&rules, "net allow 0.0.0.0/0 tcp 1-65535\n");
  CHECK(May(rules, records, "203.0.113.10", 443));
  CHECK(!May(rules, records, "10.1.2.3", 443));
  CHECK(!May(rules, records, "169.254.169.254", 80));
  CHECK(!May(rules, records, "2606:4700::1111", 443));
  Load(&rules, "net allow ::/0 tcp 1-65535\n");
  CHECK(May(rules, records, "2606:4700::1111", 443));
  CHECK(!May(rules, records, "fd00:ec2::254", 80));
  CHECK(!May(rules, records, "64:ff9b::a9fe:a9fe", 80));
  CHECK(!May(rules, records, "10.1.2.3", 443));
  Load(&rules, "net allow ::/0 tcp 1-65535\n");
  CHECK(!May(rules, records, "203.0.113.10", 443));
  Load(&rules, "net allow 0.0.0.0/0 tcp 1-65535\nnet deny ::/0 tcp 1-65535\n");
  CHECK(May(rules, records, "203.0.113.10", 443));
  CHECK(!May(rules, records, "2606:4700::1111", 443));
  Load(&rules, "net allow 169.254.169.254/32 tcp 80-80\nnet allow 172.16.0.0/12 tcp 5432-5433\n");
  CHECK(May(rules, records, "169.254.169.254", 80));
  CHECK(May(rules, records, "::ffff:169.254.169.254", 80));
  CHECK(!May(rules, records, "169.254.169.253", 80));
  CHECK(May(rules, records, "172.20.1.1", 5433));
  CHECK(!May(rules, records, "172.20.1.1", 5434));
  Load(&rules, "net allow 127.0.0.0/8 tcp 1-65535\nnet allow 224.0.0.0/4 udp 1-65535\n");
  CHECK(!May(rules, records, "127.0.0.1", 80));
  CHECK(!May(rules, records, "224.0.0.251", 5353, 1, Transport::kUdp));
}

TEST(DeniedWins) {
  Rules rules;
  Records records;
  Load(&rules,
       "net allow 203.0.113.0/24 tcp 1-65535\nhost allow below example.com tcp 1-65535\n"
       "host deny exact bad.example.com tcp 1-65535\nnet deny 203.0.113.66/32 tcp 1-65535\n"
       "host deny below example.com tcp 22-22\n");
  CHECK(May(rules, records, "203.0.113.10", 443));
  CHECK(!May(rules, records, "203.0.113.66", 443));
  CHECK(!rules.JudgeName(N("bad.example.com")).allowed);
  CHECK(rules.JudgeName(N("good.example.com")).allowed);  // of it only port 22 is denied
  Answered(&records, "good.example.com", "198.51.100.1");
  CHECK(May(rules, records, "198.51.100.1", 443));
  CHECK(!May(rules, records, "198.51.100.1", 22));
  Answered(&records, "good.example.com", "203.0.113.66");
  CHECK(!May(rules, records, "203.0.113.66", 443));
  Answered(&records, "bad.example.com", "203.0.113.10");
  CHECK(!May(rules, records, "203.0.113.10", 443));
}

TEST(PublicIsPublicOnly) {
  Rules rules;
  Records records;
  Load(&rules, "public allow tcp 1-65535\nhost deny below internal tcp 1-65535\n");
  CHECK(May(rules, records, "203.0.113.10", 443));
  CHECK(!May(rules, records, "10.1.2.3", 443));
  CHECK(!May(rules, records, "127.0.0.1", 443));
  const Name* below = nullptr;
  CHECK(rules.JudgeName(N("anything.example"), &below).allowed);
  CHECK(below == nullptr);
  CHECK(!rules.JudgeName(N("db.internal")).allowed);
  Answered(&records, "anything.example", "10.1.2.3");
  CHECK(!May(rules, records, "10.1.2.3", 443));
}

TEST(InspectionIsObeyed) {
  Rules rules;
  Records records;
  Load(&rules, "host allow below example.com tcp 1-65535\nhost allow exact api.example.com tcp 443-443 inspect\n");
  Answered(&records, "api.example.com", "203.0.113.10");
  CHECK(rules.Judge(Ip("203.0.113.10"), 443, Transport::kTcp, records, 1).inspect);
  CHECK(!rules.Judge(Ip("203.0.113.10"), 80, Transport::kTcp, records, 1).inspect);
}

TEST(BadLinesChangeNothing) {
  Rules rules;
  Records records;
  Load(&rules, "net allow 203.0.113.0/24 tcp 1-65535\nloopback 8080\nmax-connections 5\n");
  for (const char* bad : {"host allow",
                          "host allow exact a..b tcp 1-2",
                          "host allow exact a tcp 0-1",
                          "host allow exact a tcp 1-65536",
                          "host allow exact a tcp 2-1",
                          "host allow exact a tcp 1-2x",
                          "host allow exact a sctp 1-2",
                          "host maybe exact a tcp 1-2",
                          "host allow near a tcp 1-2",
                          "host allow exact a tcp 1-2 peek",
                          "host allow exact a tcp 1-2 inspect more",
                          "net allow 10.0.0.0 tcp 1-2",
                          "net allow 10.0.0.0/33 tcp 1-2",
                          "net allow ::/129 tcp 1-2",
                          "net allow 10.0.0/8 tcp 1-2",
                          "net allow 0x7f.1/32 tcp 1-2",
                          "public deny tcp 1-2",
                          "loopback 0",
                          "loopback 65536",
                          "loopback -1",
                          "publish x",
                          "on-denied 1",
                          "max-connections 1x",
                          "ask",
                          "nonsense 1",
                          "publish 80 81"}) {
    CHECK_EQ(rules.Parse(bad, strlen(bad), true), 1u);
    std::string second = std::string("loopback 9090\n") + bad;
    CHECK_EQ(rules.Parse(second.data(), second.size(), false), 2u);
  }
  CHECK_EQ(rules.Parse("loopback 1\0002", 12, false), 1u);
  std::string endless = "host allow exact " + std::string(600, 'a') + " tcp 1-2";
  CHECK_EQ(rules.Parse(endless.data(), endless.size(), false), 1u);
  CHECK(May(rules, records, "203.0.113.10", 443));
  CHECK(rules.IsLoopbackPort(8080));
  CHECK(!rules.IsLoopbackPort(9090));
  CHECK_EQ(rules.max_connections(), 5u);
  CHECK_EQ(rules.on_denied(), EACCES);
  Load(&rules, "on-denied 111\npublish 3000", true);
  CHECK_EQ(rules.on_denied(), ECONNREFUSED);
  CHECK(rules.IsPublished(3000));
  CHECK(rules.IsLoopbackPort(8080));
}

TEST(RecordsAreBounded) {
  Records records;
  for (unsigned i = 0; i < Records::kMax + 100; ++i) {
    qi::Record record;
    record.name = N("a.example");
    uint32_t host = htonl(0xcb000000u + i);
    record.address = qi::From4(&host);
    record.expires_ms = 1000 + i;
    records.Add(record, 0);
  }
  CHECK_EQ(records.size(), Records::kMax);
  CHECK(records.Next(Ip("203.0.0.0"), 0) == nullptr);  // the first to run out gave way
  CHECK(records.Next(Ip("203.0.16.50"), 0) != nullptr);
}

TEST(PermissiveLetsPublicHostsThroughAndSaysSo) {
  Rules rules;
  Records records;
  Load(&rules,
       "host allow exact api.example.com tcp 443-443\n"
       "host deny below bad.example tcp 1-65535\n"
       "net deny 203.0.113.66/32 tcp 1-65535\n"
       "ask 1000\npermissive\npermit-udp 443");
  Answered(&records, "api.example.com", "203.0.113.1");
  Answered(&records, "x.bad.example", "203.0.113.2");
  auto judge = [&](const char* address, uint16_t port, Transport transport = Transport::kTcp) {
    return rules.Judge(Ip(address), port, transport, records, 1);
  };
  CHECK(judge("203.0.113.1", 443).allowed && !judge("203.0.113.1", 443).permit);
  for (const char* address : {"203.0.113.1", "203.0.113.9", "2001:db8:1::1"}) {
    qi::Judgement judgement = judge(address, 80);
    bool is_public = qi::Classify(Ip(address)) == AddressClass::kPublic;
    CHECK(!judgement.allowed && judgement.permit == is_public && judgement.reason[0] != 0);
    CHECK(judgement.ask == !is_public);
  }
  CHECK(judge("93.184.216.34", 80).permit);
  CHECK(judge("93.184.216.34", 443, Transport::kUdp).permit);
  for (const char* address : {"127.0.0.1", "0.0.0.0", "10.1.2.3", "192.168.1.1", "169.254.169.254", "100.64.0.1", "::1",
                              "fe80::1", "fd00::1", "::ffff:10.0.0.1", "224.0.0.1", "255.255.255.255"}) {
    CHECK(!judge(address, 80).allowed && !judge(address, 80).permit);
  }
  CHECK(!judge("93.184.216.34", 0).permit);
  CHECK(!judge("93.184.216.34", 53, Transport::kUdp).permit);  // it has no relay
  CHECK(!judge("203.0.113.66", 80).permit);                    // denied stays denied
  CHECK(!judge("203.0.113.2", 80).permit);
  CHECK(!rules.JudgeName(N("other.example")).allowed && rules.JudgeName(N("other.example")).permit);
  CHECK(!rules.JudgeName(N("other.example")).ask);
  CHECK(!rules.JudgeName(N("x.bad.example")).permit);
  CHECK(rules.JudgeName(N("api.example.com")).allowed);
  Rules strict;
  Load(&strict, "host allow exact api.example.com tcp 443-443");
  CHECK(!strict.Judge(Ip("93.184.216.34"), 80, Transport::kTcp, records, 1).permit);
  CHECK(!strict.JudgeName(N("other.example")).permit);
}

TEST(SocketAddresses) {
  sockaddr_in6 in6 = {};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(443);
  IpAddress ip;
  uint16_t port = 0;
  CHECK(qi::FromSockaddr(&in6, 24, &ip, &port));  // without the scope id, as the kernel takes it
  CHECK(!qi::FromSockaddr(&in6, 23, &ip, &port));
  CHECK_EQ(port, 443);
  sockaddr_in in = {};
  in.sin_family = AF_INET;
  CHECK(!qi::FromSockaddr(&in, 15, &ip, &port));
  CHECK(!qi::FromSockaddr(&in, 0, &ip, &port));
  in.sin_family = AF_UNIX;
  CHECK(!qi::FromSockaddr(&in, sizeof(in), &ip, &port));
  sockaddr_storage out;
  CHECK_EQ(qi::ToSockaddr(Ip("203.0.113.1"), 80, AF_INET, &out), sizeof(sockaddr_in));
  CHECK_EQ(qi::ToSockaddr(Ip("203.0.113.1"), 80, AF_INET6, &out), sizeof(sockaddr_in6));
  CHECK_EQ(qi::ToSockaddr(Ip("2001:db8::1"), 80, AF_INET, &out), 0u);
}

CHECK_MAIN()
