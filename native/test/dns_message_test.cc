#include "network/dns_message.h"

#include <time.h>

#include "check.h"
#include "dns_builder.h"

namespace {

using namespace qi_test;
using qi::AnswerResult;
using qi::kDnsA;
using qi::kDnsAaaa;
using qi::kDnsCname;
using qi::QueryResult;

constexpr unsigned kId = 0x1234, kQueryFlags = 0x0100, kAnswerFlags = 0x8180, kFirst = 12;
const std::string kV4 = {93, static_cast<char>(184), static_cast<char>(216), 34};
const std::string kV6 =
    std::string("\x26\x06\x28\x00\x02\x20\0\x01", 8) + std::string("\x02\x48\x18\x93\x25\xc8\x19\x46", 8);

qi::DnsQuery query;
qi::DnsData data;

QueryResult Query(const std::string& bytes) {
  return Exactly(bytes, [](const char* p, size_t n) { return qi::ParseQuery(p, n, &query); });
}
QueryResult QueryName(const std::string& wire) {
  return Query(Header(kId, kQueryFlags, 1, 0, 0, 0) + Question(wire, kDnsA));
}
AnswerResult Answer(const std::string& bytes, const char* name = "www.example.com", uint16_t type = kDnsA) {
  return Exactly(bytes, [&](const char* p, size_t n) { return qi::ParseAnswer(p, n, kId, Host(name), type, &data); });
}

// An answer about www.example.com with these records.
struct Sections {
  std::string answer, authority, additional;
  unsigned answers = 0, authorities = 0, additionals = 0;
  unsigned flags = kAnswerFlags;
  std::string name = "www.example.com";
  unsigned type = kDnsA;

  Sections& An(const std::string& rr) { return answer += rr, ++answers, *this; }
  Sections& Ns(const std::string& rr) { return authority += rr, ++authorities, *this; }
  Sections& Ar(const std::string& rr) { return additional += rr, ++additionals, *this; }
  Sections& Flags(unsigned f) { return flags = f, *this; }
  Sections& Of(const std::string& n, unsigned t) { return name = n, type = t, *this; }
  std::string Bytes() const {
    return Header(kId, flags, 1, answers, authorities, additionals) + Question(Wire(name), type) + answer + authority +
           additional;
  }
};

AnswerResult Answer(const Sections& s) { return Answer(s.Bytes(), s.name.c_str(), static_cast<uint16_t>(s.type)); }

std::string Respond(qi::Rcode rcode, const qi::DnsData& d, size_t limit) {
  std::string out(limit, '?');
  out.resize(qi::BuildResponse(query, rcode, d, out.data(), limit));
  return out;
}

unsigned At16(const std::string& s, size_t at) {
  return static_cast<unsigned>(static_cast<uint8_t>(s[at]) << 8 | static_cast<uint8_t>(s[at + 1]));
}

std::string Address(const qi::IpAddress& ip) {
  char text[INET6_ADDRSTRLEN];
  qi::FormatAddress(ip, text);
  return text;
}

// A name of 255 bytes on the wire: 253 of text.
std::string Longest() {
  std::string l(63, 'a');
  return l + "." + l + "." + l + "." + std::string(61, 'b');
}

}  // namespace

TEST(AQueryOfEachClient) {
  // glibc, two plain questions
  CHECK_EQ(Query(Header(7, kQueryFlags, 1, 0, 0, 0) + Question(Wire("Example.COM"), kDnsAaaa)), QueryResult::kGood);
  CHECK_EQ(query.id, 7);
  CHECK_EQ(query.type, kDnsAaaa);
  CHECK(query.recursion_desired && !query.edns);
  CHECK_EQ(query.udp_size, 512);
  CHECK_STREQ(query.name.text, "example.com");
  CHECK_STREQ(query.shown, "Example.COM");
  CHECK_EQ(query.question_size, 13 + 4);
  // Go and dig: EDNS, with a cookie
  CHECK_EQ(Query(Header(7, 0x0120, 1, 0, 0, 1) + Question(Wire("xn--bcher-kva.example"), kDnsA) +
                 Opt(1232, 0x8000, std::string("\0\x0a\0\x08", 4) + "cookies!")),
           QueryResult::kGood);
  CHECK(query.edns);
  CHECK_EQ(query.udp_size, 1232);
  CHECK_STREQ(query.name.text, "xn--bcher-kva.example");
  CHECK_EQ(Query(Header(7, 0, 1, 0, 0, 0) + Question(Wire("_srv._tcp.a"), 33)), QueryResult::kGood);
  CHECK(!query.recursion_desired);
  CHECK_EQ(query.type, 33);
}

TEST(TheUdpSizeStaysInItsBounds) {
  const unsigned sizes[][2] = {{0, 512}, {511, 512}, {512, 512}, {4096, 4096}, {4097, 4096}, {65535, 4096}};
  for (const auto& size : sizes) {
    CHECK_EQ(Query(Header(1, 0, 1, 0, 0, 1) + Question(Wire("a.b"), kDnsA) + Opt(size[0])), QueryResult::kGood);
    CHECK_EQ(query.udp_size, size[1]);
  }
}

TEST(HeadersThatAreNoQuery) {
  const std::string question = Question(Wire("a.b"), kDnsA);
  CHECK_EQ(Query(""), QueryResult::kSilent);
  CHECK_EQ(Query(Header(1, kAnswerFlags, 1, 0, 0, 0) + question), QueryResult::kSilent);
  CHECK_EQ(Query(Header(1, 0x8000, 1, 0, 0, 0)), QueryResult::kSilent);
  CHECK_EQ(Query(Header(1, 5 << 11, 1, 0, 0, 0) + question), QueryResult::kNotImp);
  CHECK_EQ(query.opcode, 5);
  for (const std::string& header :
       {Header(1, 0, 0, 0, 0, 0), Header(1, 0, 2, 0, 0, 0), Header(1, 0, 65535, 0, 0, 0), Header(1, 0, 1, 1, 0, 0),
        Header(1, 0, 1, 0, 1, 0), Header(1, 0, 1, 0, 0, 2), Header(1, 0, 1, 0, 0, 1)}) {
    CHECK_EQ(Query(header + question), QueryResult::kFormErr);
  }
  CHECK_EQ(Query(Header(1, 0, 2, 0, 0, 0) + question + question), QueryResult::kFormErr);
  CHECK_EQ(Query(Header(1, 0, 1, 0, 0, 0) + question + "x"), QueryResult::kFormErr);
  CHECK_EQ(Query(Header(1, 0, 1, 0, 0, 0) + Question(Wire("a.b"), kDnsA, 3)), QueryResult::kRefused);
  CHECK_EQ(Query(Header(1, 0, 1, 0, 0, 0) + Question(Wire("a.b"), kDnsA, 255)), QueryResult::kRefused);
}

TEST(OptWhereItDoesNotBelong) {
  const std::string start = Header(1, 0, 1, 0, 0, 1) + Question(Wire("a.b"), kDnsA);
  CHECK_EQ(Query(start + Rr(Wire("a.b"), qi::kDnsOpt, 0, "", 1232)), QueryResult::kFormErr);
  CHECK_EQ(Query(start + Opt(1232, 1 << 16)), QueryResult::kBadVers);
  CHECK_EQ(Query(start + Opt(1232, 0xffff0000)), QueryResult::kBadVers);
  CHECK(query.edns && query.question_size > 0);
  CHECK_EQ(Query(start + Rr(Wire("key"), 250, 0, "sig", 255)), QueryResult::kGood);  // TSIG: of no meaning
  CHECK(!query.edns);
  std::string lie = Opt();
  lie.back() = 1;  // RDLENGTH
  CHECK_EQ(Query(start + lie), QueryResult::kFormErr);
  CHECK_EQ(Query(Header(1, 0, 1, 1, 0, 0) + Question(Wire("a.b"), kDnsA) + Opt()), QueryResult::kFormErr);
}

TEST(NamesThatAreNoHostName) {
  const struct {
    std::string wire, shown;
  } bad[] = {{kRoot, "."},
             {Label(std::string("a\0b", 3)) + kRoot, "a\\000b"},
             {Label("a.b") + kRoot, "a\\.b"},
             {Label("allowed.example") + Label("evil") + kRoot, "allowed\\.example.evil"},
             {Label("evil.") + kRoot, "evil\\."},
             {Label(".") + kRoot, "\\."},
             {Label("a b") + kRoot, "a\\032b"},
             {Label("a\nb\x1b[2J") + kRoot, "a\\010b\\027[2J"},
             {Label("\x7f") + Label("c") + kRoot, "\\127.c"},
             {Label("b\xc3\xbc") + kRoot, "b\\195\\188"},
             {Label("a\\b") + kRoot, "a\\\\b"},
             {Label("*") + Wire("example"), "*.example"},
             {Label("a/b") + kRoot, "a/b"},
             {Label("a:53") + kRoot, "a:53"}};
  for (const auto& b : bad) {
    CHECK_EQ(QueryName(b.wire), QueryResult::kBadName);
    CHECK_STREQ(query.shown, b.shown);
    CHECK(query.name.empty() && query.name.text[0] == 0);
    CHECK_EQ(query.question_size, b.wire.size() + 4);
  }
}

TEST(NamesThatLieAboutThemselves) {
  CHECK_EQ(QueryName(Wire(Longest())), QueryResult::kGood);
  CHECK_EQ(query.name.size, 253);
  CHECK_EQ(query.question_size, 259);
  CHECK_EQ(QueryName(Wire("a." + Longest())), QueryResult::kFormErr);
  CHECK_EQ(QueryName(Wire(Longest() + "b")), QueryResult::kFormErr);
  CHECK_EQ(QueryName(Wire(std::string(64, 'a'))), QueryResult::kFormErr);
  CHECK_EQ(QueryName(Wire(std::string(63, 'a'))), QueryResult::kGood);
  CHECK_EQ(QueryName("\x80" + std::string(128, 'a') + kRoot), QueryResult::kFormErr);
  CHECK_EQ(QueryName(Label("ok") + "\x41x" + kRoot), QueryResult::kFormErr);
  CHECK_STREQ(query.shown, "ok");
  for (size_t at : {0u, 2u, 12u, 14u, 16u, 100u, 0x3fffu}) {
    CHECK_EQ(QueryName(Pointer(at)), QueryResult::kFormErr);
    CHECK_EQ(QueryName(Label("a") + Pointer(at)), QueryResult::kFormErr);
  }
}

TEST(TheShownNameIsBounded) {
  std::string l(63, '\x01');
  CHECK_EQ(QueryName(Label(l) + Label(l) + Label(l) + kRoot), QueryResult::kBadName);
  CHECK(strlen(query.shown) < sizeof(query.shown) && strlen(query.shown) > 240);
  CHECK_EQ(QueryName(Wire(Longest())), QueryResult::kGood);
  CHECK_STREQ(query.shown, Longest());
}

TEST(AQueryCutAnywhereIsNotGood) {
  const std::string whole = Header(1, 0, 1, 0, 0, 1) + Question(Wire("www.example.com"), kDnsA) + Opt(1232, 0, "abcd");
  CHECK_EQ(Query(whole), QueryResult::kGood);
  for (size_t n = 0; n < whole.size(); ++n) {
    CHECK_EQ(Query(whole.substr(0, n)), n < 12 ? QueryResult::kSilent : QueryResult::kFormErr);
  }
}

TEST(TheQueryForUpstream) {
  uint8_t out[512];
  size_t size = qi::BuildUpstreamQuery(0xabcd, Host("WWW.Example.com."), kDnsAaaa, out, sizeof(out));
  CHECK_STREQ(std::string(reinterpret_cast<char*>(out), size),
              Header(0xabcd, 0x0100, 1, 0, 0, 1) + Question(Wire("www.example.com"), kDnsAaaa) + Opt(1232));
  for (size_t room = 0; room < size; ++room) {
    std::string exact(room, '?');
    CHECK_EQ(qi::BuildUpstreamQuery(1, Host("www.example.com"), kDnsA, exact.data(), room), 0);
  }
  CHECK_EQ(qi::BuildUpstreamQuery(1, qi::Name(), kDnsA, out, sizeof(out)), 0);
  CHECK_EQ(qi::BuildUpstreamQuery(1, Host(Longest()), kDnsA, out, sizeof(out)), 12 + 259 + 11);
}

TEST(AnAnswerWithAddresses) {
  CHECK_EQ(Answer(Sections()
                      .An(Rr(Pointer(kFirst), kDnsA, 300, kV4))
                      .An(Rr(Wire("WWW.example.COM"), kDnsA, 60, kV4))
                      .Ar(Opt())),
           AnswerResult::kData);
  CHECK_EQ(data.address_count, 2);
  CHECK_EQ(data.ttl, 60);
  CHECK_EQ(data.chain_count, 0);
  CHECK_STREQ(Address(data.addresses[0]), "93.184.216.34");
  CHECK_EQ(Answer(Sections().Of("a.b", kDnsAaaa).An(Rr(Pointer(kFirst), kDnsAaaa, 300, kV6))), AnswerResult::kData);
  CHECK_STREQ(Address(data.addresses[0]), "2606:2800:220:1:248:1893:25c8:1946");
  const std::string mapped = std::string(10, '\0') + "\xff\xff" + kV4;
  CHECK_EQ(Answer(Sections().Of("a.b", kDnsAaaa).An(Rr(Pointer(kFirst), kDnsAaaa, 300, mapped))),
           AnswerResult::kNoData);
  // RFC 2181: a TTL with the high bit is none.
  CHECK_EQ(Answer(Sections().An(Rr(Pointer(kFirst), kDnsA, 0x80000001, kV4))), AnswerResult::kData);
  CHECK_EQ(data.ttl, 0);
}

TEST(LinksInWhateverOrder) {
  const std::string first = Rr(Pointer(kFirst), kDnsCname, 50, Wire("cdn.example.net"));
  const std::string second = Rr(Wire("CDN.example.net"), kDnsCname, 20, Label("edge") + Pointer(kFirst + 4));
  const std::string address = Rr(Wire("edge.example.com"), kDnsA, 40, kV4);
  for (const Sections& s : {Sections().An(first).An(second).An(address), Sections().An(second).An(first).An(address),
                            Sections().An(first).An(address).An(second)}) {
    CHECK_EQ(Answer(s), AnswerResult::kData);
    REQUIRE(data.chain_count == 2);
    CHECK_STREQ(data.chain[0].text, "cdn.example.net");
    CHECK_STREQ(data.chain[1].text, "edge.example.com");
    CHECK_EQ(data.address_count, 1);
    CHECK_EQ(data.ttl, 20);
  }
  CHECK_EQ(Answer(Sections().Of("www.example.com", kDnsCname).An(first).An(second)), AnswerResult::kData);
  CHECK_EQ(data.chain_count, 1);
  CHECK_EQ(Answer(Sections().An(first).An(second)), AnswerResult::kNoData);
  CHECK_EQ(data.chain_count, 2);
}

TEST(RecordsOfOtherNamesArePassedOver) {
  const std::string mine = Rr(Pointer(kFirst), kDnsA, 300, kV4);
  const std::string other_address = {10, 0, 0, 1};
  CHECK_EQ(Answer(Sections()
                      .An(Rr(Wire("evil.example"), kDnsA, 1, other_address))
                      .An(Rr(Wire("example.com"), kDnsA, 1, other_address))
                      .An(Rr(Wire("a.www.example.com"), kDnsA, 1, other_address))
                      .An(Rr(Label("www.example") + Wire("com"), kDnsA, 1, other_address))
                      .An(Rr(Pointer(kFirst), kDnsA, 1, other_address, 3))
                      .An(Rr(Pointer(kFirst), kDnsAaaa, 1, kV6))
                      .An(Rr(Wire("evil.example"), kDnsCname, 1, Wire("www.example.com")))
                      .An(Rr(Pointer(kFirst), 46, 1, "signature"))
                      .An(Opt())
                      .An(mine)
                      .Ns(Rr(Pointer(kFirst), kDnsA, 1, other_address))
                      .Ar(Rr(Pointer(kFirst), kDnsA, 1, other_address))),
           AnswerResult::kData);
  CHECK_EQ(data.address_count, 1);
  CHECK_EQ(data.ttl, 300);
  CHECK_STREQ(Address(data.addresses[0]), "93.184.216.34");
  CHECK_EQ(Answer(Sections().An(Rr(Wire("evil.example"), kDnsA, 1, kV4))), AnswerResult::kNoData);
  CHECK_EQ(Answer(Sections().Ar(Rr(Pointer(kFirst), kDnsA, 1, kV4))), AnswerResult::kNoData);
  CHECK_EQ(data.address_count, 0);
}

TEST(LinksInACircleEnd) {
  auto link = [](const std::string& from, const std::string& to) { return Rr(Wire(from), kDnsCname, 1, Wire(to)); };
  CHECK_EQ(Answer(Sections().An(link("www.example.com", "www.example.com"))), AnswerResult::kMalformed);
  CHECK_EQ(Answer(Sections()
                      .An(link("www.example.com", "a.b"))
                      .An(link("a.b", "www.example.com"))
                      .An(Rr(Wire("a.b"), kDnsA, 1, kV4))),
           AnswerResult::kMalformed);
  CHECK_EQ(data.chain_count, 0);
  for (int links : {16, 17}) {
    Sections s;
    std::string at = "www.example.com";
    for (int i = 0; i < links; ++i) s.An(link(at, "n" + std::to_string(i))), at = "n" + std::to_string(i);
    s.An(Rr(Wire(at), kDnsA, 9, kV4));
    CHECK_EQ(Answer(s), links == 16 ? AnswerResult::kData : AnswerResult::kMalformed);
  }
}

TEST(LinksToNowhereAreMalformed) {
  for (const std::string& target :
       {kRoot, Label("a.b") + kRoot, Label(std::string("a\0", 2)) + kRoot, Wire("a b"), std::string(), Label("cut"),
        Wire("a.b") + "x", Pointer(0), Pointer(0x3fff), Wire(std::string(64, 'a'))}) {
    CHECK_EQ(Answer(Sections().An(Rr(Pointer(kFirst), kDnsCname, 1, target)).An(Rr(Wire("a.b"), kDnsA, 1, kV4))),
             AnswerResult::kMalformed);
  }
}

TEST(NegativeAnswers) {
  auto soa = [](const std::string& zone, uint32_t ttl, uint32_t minimum) {
    return Rr(Wire(zone), 6, ttl, Soa(minimum));
  };
  const unsigned nx = kAnswerFlags | 3;
  CHECK_EQ(Answer(Sections().Flags(nx).Ns(soa("example.com", 900, 60))), AnswerResult::kNxDomain);
  CHECK_EQ(data.ttl, 60);
  CHECK_EQ(Answer(Sections().Flags(nx).Ns(soa("com", 30, 60))), AnswerResult::kNxDomain);
  CHECK_EQ(data.ttl, 30);
  CHECK_EQ(Answer(Sections().Ns(soa("", 86400, 3600))), AnswerResult::kNoData);
  CHECK_EQ(data.ttl, 3600);
  CHECK_EQ(Answer(Sections().Ns(soa("www.example.com", 5, 0xffffffff))), AnswerResult::kNoData);
  CHECK_EQ(data.ttl, 0);
  CHECK_EQ(Answer(Sections().Ns(soa("example.net", 900, 60))), AnswerResult::kNoData);  // another zone's
  CHECK_EQ(data.ttl, 0);
  CHECK_EQ(Answer(Sections().Flags(nx)), AnswerResult::kNxDomain);
  CHECK_EQ(data.ttl, 0);
  // The alias is there, its end is not (RFC 2308, 2.1); an address in such an answer is none.
  CHECK_EQ(Answer(Sections()
                      .Flags(nx)
                      .An(Rr(Pointer(kFirst), kDnsCname, 10, Wire("gone.example.net")))
                      .An(Rr(Wire("gone.example.net"), kDnsA, 10, kV4))
                      .Ns(soa("example.net", 900, 60))),
           AnswerResult::kNxDomain);
  CHECK_EQ(data.chain_count, 1);
  CHECK_EQ(data.address_count, 0);
  CHECK_EQ(data.ttl, 10);
  CHECK_EQ(Answer(Sections().Ns(Rr(Wire("com"), 6, 1, Soa(1).substr(1)))), AnswerResult::kMalformed);
  CHECK_EQ(Answer(Sections().Ns(Rr(Wire("com"), 6, 1, Soa(1) + "x"))), AnswerResult::kMalformed);
}

TEST(FailuresOfAServer) {
  for (unsigned rcode : {1u, 2u, 4u, 5u, 6u, 9u, 15u}) {
    CHECK_EQ(Answer(Sections().Flags(kAnswerFlags | rcode).An(Rr(Pointer(kFirst), kDnsA, 1, kV4))),
             AnswerResult::kServerFailure);
    CHECK_EQ(data.address_count, 0);
    CHECK_EQ(Answer(Header(kId, kAnswerFlags | rcode, 0, 0, 0, 0)), AnswerResult::kServerFailure);
  }
  CHECK_EQ(Answer(Sections().Ar(Opt(1232, 1u << 24))), AnswerResult::kServerFailure);  // BADVERS
  CHECK_EQ(Answer(Sections().Ar(Opt(1232, 0xff000000))), AnswerResult::kServerFailure);
  CHECK_EQ(Answer(Sections().Flags(0x8100).Ns(Rr(Wire("com"), 2, 1, Wire("ns.com")))), AnswerResult::kServerFailure);
  CHECK_EQ(Answer(Sections().Flags(0x8500)), AnswerResult::kNoData);
  CHECK_EQ(Answer(Sections().Flags(kAnswerFlags | 0x0200).An(Rr(Pointer(kFirst), kDnsA, 1, kV4))),
           AnswerResult::kTruncated);
}

TEST(AnswersToSomebodyElse) {
  const std::string good = Sections().An(Rr(Pointer(kFirst), kDnsA, 300, kV4)).Bytes();
  const std::string rest = good.substr(12);
  CHECK_EQ(Answer(good), AnswerResult::kData);
  CHECK_EQ(Answer(good, "www.example.org"), AnswerResult::kNotMine);
  CHECK_EQ(Answer(good, "www.example.com", kDnsAaaa), AnswerResult::kNotMine);
  CHECK_EQ(Answer(Header(kId + 1, kAnswerFlags, 1, 1, 0, 0) + rest), AnswerResult::kNotMine);
  CHECK_EQ(Answer(Header(kId, 0x0100, 1, 1, 0, 0) + rest), AnswerResult::kNotMine);
  CHECK_EQ(Answer(Header(kId, kAnswerFlags | 4 << 11, 1, 1, 0, 0) + rest), AnswerResult::kNotMine);
  CHECK_EQ(Answer(Header(kId, kAnswerFlags, 0, 1, 0, 0) + rest.substr(21)), AnswerResult::kNotMine);
  CHECK_EQ(Answer(Header(kId, kAnswerFlags | 3, 0, 0, 0, 0)), AnswerResult::kNotMine);
  CHECK_EQ(Answer(Header(kId, kAnswerFlags, 2, 1, 0, 0) + rest), AnswerResult::kNotMine);
  CHECK_EQ(Answer(Header(kId, kAnswerFlags, 1, 0, 0, 0) + Question(Wire("www.example.com"), kDnsA, 3)),
           AnswerResult::kNotMine);
  CHECK_EQ(Answer(Header(kId, kAnswerFlags, 1, 0, 0, 0) + Question(Label("www.example") + Wire("com"), kDnsA)),
           AnswerResult::kNotMine);
  CHECK_EQ(Answer(Header(kId, kAnswerFlags, 1, 0, 0, 0) + Question(kRoot, kDnsA), ""), AnswerResult::kNotMine);
  CHECK_EQ(Answer(good + std::string(70000, 'x')), AnswerResult::kNotMine);
}

TEST(CompressionThatRunsAway) {
  const size_t here = kFirst + 17 + 4;  // where the first record's owner stands
  for (const std::string& owner : {Pointer(here), Pointer(here + 2), Pointer(here + 12), Pointer(0x3fff), Pointer(0),
                                   Pointer(11), Label("a") + Pointer(here), Label("a") + Pointer(here + 2),
                                   std::string("\xc0", 1), std::string("\x80\x00", 2)}) {
    CHECK_EQ(Answer(Sections().An(Rr(owner, kDnsA, 1, kV4))), AnswerResult::kMalformed);
  }
  // Two that point at each other: the first one points forward.
  CHECK_EQ(Answer(Sections().An(Rr(Pointer(here + 16), kDnsA, 1, kV4)).An(Rr(Pointer(here), kDnsA, 1, kV4))),
           AnswerResult::kMalformed);
  // Each of them is right, and the chain of them is too long; and a name that grows over the bound.
  Sections jumps, grows;
  size_t at = here;
  jumps.An(Rr(Pointer(kFirst), kDnsA, 1, kV4));
  for (int i = 0; i < 40; ++i, at += 16) jumps.An(Rr(Pointer(at), kDnsA, 1, kV4));
  CHECK_EQ(Answer(jumps), AnswerResult::kMalformed);
  at = kFirst;
  for (int i = 0; i < 4; ++i) {
    size_t next = here + grows.answer.size();
    grows.An(Rr(Label(std::string(63, 'a')) + Pointer(at), kDnsA, 1, kV4));
    CHECK_EQ(Answer(grows), i < 3 ? AnswerResult::kNoData : AnswerResult::kMalformed);
    at = next;
  }
}

TEST(LengthsThatLie) {
  const std::string good = Sections().An(Rr(Pointer(kFirst), kDnsA, 300, kV4)).Bytes();
  const size_t length = good.size() - 6;
  for (unsigned lie : {0u, 1u, 3u, 5u, 16u, 255u, 256u, 65535u}) {
    std::string bytes = good;
    bytes.replace(length, 2, U16(lie));
    CHECK_EQ(Answer(bytes), AnswerResult::kMalformed);
  }
  CHECK_EQ(Answer(Sections().An(Rr(Pointer(kFirst), kDnsA, 1, kV6))), AnswerResult::kMalformed);
  CHECK_EQ(Answer(Sections().Of("a.b", kDnsAaaa).An(Rr(Pointer(kFirst), kDnsAaaa, 1, kV4))), AnswerResult::kMalformed);
  for (unsigned lie : {2u, 3u, 65535u}) {
    for (int section = 0; section < 3; ++section) {
      std::string bytes = good;
      bytes.replace(6 + 2 * static_cast<size_t>(section), 2, U16(lie));
      CHECK_EQ(Answer(bytes), AnswerResult::kMalformed);
    }
  }
}

TEST(AnAnswerCutAnywhereSaysNothing) {
  const std::string whole = Sections()
                                .An(Rr(Pointer(kFirst), kDnsCname, 50, Wire("cdn.example.net")))
                                .An(Rr(Wire("cdn.example.net"), kDnsA, 50, kV4))
                                .Ns(Rr(Pointer(kFirst), 2, 50, Wire("ns.example.net")))
                                .Ar(Opt())
                                .Bytes();
  CHECK_EQ(Answer(whole), AnswerResult::kData);
  const size_t question_end = kFirst + 17 + 4;
  for (size_t n = 0; n < whole.size(); ++n) {
    CHECK_EQ(Answer(whole.substr(0, n)), n < question_end ? AnswerResult::kNotMine : AnswerResult::kMalformed);
    CHECK_EQ(data.address_count, 0);
  }
}

TEST(ALastRecordCutAnywhereSaysNothing) {
  const std::string address = Sections().An(Rr(Pointer(kFirst), kDnsA, 50, kV4)).Bytes();
  const std::string other = Sections().Ar(Rr(Wire("a.b"), 99, 50, "0123456789")).Bytes();
  for (size_t cut = 1; cut <= 10; ++cut) {
    CHECK_EQ(Answer(address.substr(0, address.size() - cut)), AnswerResult::kMalformed);
    CHECK_EQ(Answer(other.substr(0, other.size() - cut)), AnswerResult::kMalformed);
  }
}

TEST(TenThousandRecords) {
  Sections s;
  for (int i = 0; i < 10000; ++i) s.An(Rr(Pointer(kFirst), kDnsA, 300, kV4));
  CHECK_EQ(Answer(s), AnswerResult::kNotMine);  // no message is that long
  Sections most;
  while (most.answer.size() < 65000) most.An(Rr(Pointer(kFirst), kDnsA, 300, kV4));
  CHECK_EQ(Answer(most), AnswerResult::kData);
  CHECK_EQ(data.address_count, qi::kDnsMaxAddresses);
}

// Every record is a link of a name as long as can be, and none is the one looked for until the end of the message.
TEST(TheDearestAnswerIsStillCheap) {
  Sections s;
  s.name = Longest();
  std::string from = Longest();
  std::string links;
  unsigned count = 0;
  std::string twin = Longest();
  twin[252] = 'c';
  s.An(Rr(Wire(twin), kDnsA, 1, kV4));
  const size_t twin_at = kFirst + 255 + 4;
  for (int i = 0; i < 16; ++i) {
    std::string to = Longest();
    to[252 - static_cast<size_t>(i)] = 'd';
    links = Rr(Wire(from), kDnsCname, 1, Wire(to)) + links, ++count;
    from = to;
  }
  while (s.answer.size() + links.size() < 65000) s.An(Rr(Pointer(twin_at), kDnsCname, 1, Pointer(kFirst)));
  s.answer += links, s.answers += count;
  timespec start, end;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
  CHECK_EQ(Answer(s), AnswerResult::kNoData);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
  double ms =
      static_cast<double>(end.tv_sec - start.tv_sec) * 1e3 + static_cast<double>(end.tv_nsec - start.tv_nsec) / 1e6;
  printf("  %u records, %.1f ms\n", s.answers, ms);
  CHECK_EQ(data.chain_count, 16);
  CHECK(ms < 5000);  // about 50 without sanitizers
}

TEST(AResponseRepeatsTheQuestionAsItWasAsked) {
  CHECK_EQ(Query(Header(9, kQueryFlags, 1, 0, 0, 1) + Question(Wire("wWw.ExAmple.cOm"), kDnsA) + Opt(4096)),
           QueryResult::kGood);
  qi::DnsData d;
  d.chain[d.chain_count++] = Host("cdn.example.net");
  d.addresses[d.address_count++] = qi::From4(kV4.data());
  d.ttl = 77;
  const size_t link = kFirst + 21 + 12;
  CHECK_STREQ(Respond(qi::Rcode::kNoError, d, query.udp_size),
              Header(9, 0x8180, 1, 2, 0, 1) + Question(Wire("wWw.ExAmple.cOm"), kDnsA) +
                  Rr(Pointer(kFirst), kDnsCname, 77, Wire("cdn.example.net")) + Rr(Pointer(link), kDnsA, 77, kV4) +
                  Opt(1232));
  CHECK_STREQ(Respond(qi::Rcode::kNxDomain, qi::DnsData(), 512),
              Header(9, 0x8183, 1, 0, 0, 1) + Question(Wire("wWw.ExAmple.cOm"), kDnsA) + Opt(1232));
  CHECK_STREQ(Respond(qi::Rcode::kServFail, d, 512),
              Header(9, 0x8182, 1, 0, 0, 1) + Question(Wire("wWw.ExAmple.cOm"), kDnsA) + Opt(1232));
  CHECK_STREQ(Respond(qi::Rcode::kBadVers, d, 512),
              Header(9, 0x8180, 1, 0, 0, 1) + Question(Wire("wWw.ExAmple.cOm"), kDnsA) + Opt(1232, 1 << 24));
}

TEST(ResponsesToWhatIsNotGood) {
  CHECK_EQ(Query(Header(9, kQueryFlags, 2, 0, 0, 0)), QueryResult::kFormErr);
  CHECK_STREQ(Respond(qi::RcodeFor(QueryResult::kFormErr), qi::DnsData(), 512), Header(9, 0x8181, 0, 0, 0, 0));
  CHECK_EQ(Query(Header(9, 2 << 11, 0, 0, 0, 0)), QueryResult::kNotImp);
  CHECK_STREQ(Respond(qi::RcodeFor(QueryResult::kNotImp), qi::DnsData(), 512), Header(9, 0x9084, 0, 0, 0, 0));
  CHECK_EQ(QueryName(Wire("a b")), QueryResult::kBadName);
  CHECK_STREQ(Respond(qi::RcodeFor(QueryResult::kBadName), qi::DnsData(), 512),
              Header(kId, 0x8183, 1, 0, 0, 0) + Question(Wire("a b"), kDnsA));
}

TEST(OnlyAddressesOfTheTypeAreTold) {
  qi::DnsData d;
  d.addresses[0] = qi::From4(kV4.data());
  memcpy(d.addresses[1].bytes, kV6.data(), 16);
  d.address_count = 2;
  for (uint16_t type : {kDnsA, kDnsAaaa, kDnsCname, uint16_t{65}}) {
    CHECK_EQ(Query(Header(9, 0, 1, 0, 0, 0) + Question(Wire("a.b"), type)), QueryResult::kGood);
    CHECK_EQ(At16(Respond(qi::Rcode::kNoError, d, 512), 6), type == kDnsA || type == kDnsAaaa ? 1 : 0);
  }
}

TEST(WhatIsTooLongForUdpIsCutToNothing) {
  CHECK_EQ(Query(Header(9, kQueryFlags, 1, 0, 0, 1) + Question(Wire(Longest()), kDnsAaaa) + Opt(512)),
           QueryResult::kGood);
  qi::DnsData d;
  for (auto& link : d.chain) link = Host(Longest());
  d.chain_count = qi::kDnsMaxLinks;
  for (auto& address : d.addresses) memcpy(address.bytes, kV6.data(), 16);
  d.address_count = qi::kDnsMaxAddresses;
  const std::string cut = Header(9, 0x8380, 1, 0, 0, 1) + Question(Wire(Longest()), kDnsAaaa) + Opt(1232);
  CHECK_STREQ(Respond(qi::Rcode::kNoError, d, 512), cut);
  const std::string whole = Respond(qi::Rcode::kNoError, d, qi::kDnsMaxSize);
  CHECK_EQ(At16(whole, 6), 48);
  CHECK_STREQ(Respond(qi::Rcode::kNoError, d, whole.size()), whole);
  for (size_t limit = 0; limit < whole.size(); limit += limit < 600 ? 1 : 97) {
    CHECK_STREQ(Respond(qi::Rcode::kNoError, d, limit), limit < cut.size() ? "" : cut);
  }
}

TEST(AResponseIsAnAnswer) {
  for (uint16_t type : {kDnsA, kDnsAaaa}) {
    CHECK_EQ(Query(Header(kId, 0, 1, 0, 0, 1) + Question(Wire("A.b"), type) + Opt()), QueryResult::kGood);
    qi::DnsData d;
    for (size_t i = 0; i < qi::kDnsMaxLinks; ++i) d.chain[d.chain_count++] = Host("c" + std::to_string(i) + ".d");
    for (size_t i = 0; i < qi::kDnsMaxAddresses; ++i) {
      qi::IpAddress* ip = &d.addresses[d.address_count++];
      if (type == kDnsA) *ip = qi::From4(kV4.data());
      ip->bytes[15] = static_cast<uint8_t>(i);
    }
    d.ttl = 5;
    CHECK_EQ(Answer(Respond(qi::Rcode::kNoError, d, 4096), "a.b", type), AnswerResult::kData);
    CHECK_EQ(data.chain_count, d.chain_count);
    CHECK_EQ(data.address_count, d.address_count);
    CHECK_EQ(data.ttl, 5);
    for (size_t i = 0; i < d.chain_count; ++i) CHECK(data.chain[i] == d.chain[i]);
    for (size_t i = 0; i < d.address_count; ++i) CHECK(data.addresses[i] == d.addresses[i]);
  }
}

CHECK_MAIN()
