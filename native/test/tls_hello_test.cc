#include "network/tls_hello.h"

#include "check.h"
#include "dns_builder.h"

namespace {

using namespace qi_test;
using qi::HelloResult;

qi::ClientHello hello;
qi::HttpHead head;

HelloResult Tls(const std::string& bytes) {
  return Exactly(bytes, [](const char* p, size_t n) { return qi::ParseClientHello(p, n, &hello); });
}
HelloResult Http(const std::string& bytes) {
  return Exactly(bytes, [](const char* p, size_t n) { return qi::ParseHttpHead(p, n, &head); });
}

std::string List8(const std::string& s) { return Label(s); }
std::string List16(const std::string& s) { return U16(static_cast<unsigned>(s.size())) + s; }
std::string Extension(unsigned type, const std::string& data) { return U16(type) + List16(data); }
std::string Entry(const std::string& name, char type = 0) { return std::string(1, type) + List16(name); }
std::string Sni(const std::string& name) { return Extension(0, List16(Entry(name))); }

const std::string kFixed = U16(0x0303) + std::string(32, 'r') + List8(std::string(32, 's'));
const std::string kCiphers = List16(U16(0x1301) + U16(0xc02b));
const std::string kNoCompression = List8(kRoot);

std::string Body(const std::string& extensions) { return kFixed + kCiphers + kNoCompression + List16(extensions); }
std::string Message(const std::string& body, char type = 1) {
  return type + U32(static_cast<uint32_t>(body.size())).substr(1) + body;
}
// Cut into records of this size.
std::string Records(const std::string& message, size_t size = 16384, unsigned version = 0x0301) {
  std::string out;
  for (size_t at = 0; at < message.size(); at += size) {
    out += "\x16" + U16(version) + List16(message.substr(at, size));
  }
  return out;
}
std::string Hello(const std::string& extensions) { return Records(Message(Body(extensions))); }

const std::string kAlpn = Extension(16, List16(List8("h2") + List8("http/1.1")));
const std::string kBig = Extension(51, List16(U16(0x11ec) + List16(std::string(1216, 'k'))));  // X25519MLKEM768

std::string Get(const std::string& fields) { return "GET / HTTP/1.1\r\n" + fields + "\r\n"; }

}  // namespace

TEST(AHelloNamesItsHost) {
  CHECK_EQ(Tls(Hello(kAlpn + Sni("WWW.Example.com") + kBig)), HelloResult::kGood);
  CHECK_STREQ(hello.name.text, "www.example.com");
  CHECK(!hello.encrypted);
  CHECK_EQ(Tls(Hello(Extension(0xfe0d, "grease") + Sni("xn--bcher-kva.example") + Extension(0x0a0a, ""))),
           HelloResult::kGood);
  CHECK_STREQ(hello.name.text, "xn--bcher-kva.example");
  CHECK(hello.encrypted);
  CHECK_EQ(Tls(Hello(Sni("192.0.2.1"))), HelloResult::kGood);
  CHECK_STREQ(hello.name.text, "192.0.2.1");
}

TEST(AHelloWithoutAName) {
  CHECK_EQ(Tls(Hello(kAlpn)), HelloResult::kGood);
  CHECK(hello.name.empty());
  CHECK_EQ(Tls(Hello("")), HelloResult::kGood);
  CHECK_EQ(Tls(Records(Message(kFixed + kCiphers + kNoCompression))), HelloResult::kGood);  // before TLS 1.2
  CHECK_EQ(Tls(Records(Message(kFixed + kCiphers + kNoCompression), 16384, 0x0300)), HelloResult::kGood);
}

TEST(AHelloOverSeveralRecords) {
  const std::string message = Message(Body(kAlpn + Sni("www.example.com")));
  for (size_t size : {1u, 2u, 3u, 4u, 5u, 7u, 64u, 100u}) {
    CHECK_EQ(Tls(Records(message, size)), HelloResult::kGood);
    CHECK_STREQ(hello.name.text, "www.example.com");
    // The data that follow are none of ours.
    CHECK_EQ(Tls(Records(message, size) + std::string("\x14\x03\x03\0\x01\x01", 6)), HelloResult::kGood);
  }
  const std::string two = Records(message, 100);
  std::string other = two;
  other[105] = 23;  // application data in between
  CHECK_EQ(Tls(other), HelloResult::kMalformed);
  other[105] = 22;
  other[106] = 2;
  CHECK_EQ(Tls(other), HelloResult::kMalformed);
  CHECK_EQ(Tls(two.substr(0, 105) + "\x16" + U16(0x0301) + U16(0) + two.substr(105)), HelloResult::kMalformed);
}

TEST(ABigHello) {
  const std::string key(32 * 1024, 'k');
  CHECK_EQ(Tls(Hello(Extension(51, key) + Sni("a.example"))), HelloResult::kGood);
  CHECK_STREQ(hello.name.text, "a.example");
  const std::string most = Hello(Extension(51, std::string(65000, 'k')) + Sni("a.example"));
  CHECK_EQ(Tls(most), HelloResult::kGood);
  CHECK_EQ(Tls("\x16" + U16(0x0301) + U16(16385)), HelloResult::kMalformed);
  // Longer than any of ours: said at once, not after 16 MB.
  CHECK_EQ(Tls("\x16" + U16(0x0301) + U16(100) + "\x01\x01" + U16(1)), HelloResult::kMalformed);
  CHECK_EQ(Tls("\x16" + U16(0x0301) + U16(100) + "\x01\xff\xff\xff"), HelloResult::kMalformed);
  // Small records cannot make a hello longer than the buffer either.
  const std::string tiny = Records(Message(Body(Extension(51, std::string(20000, 'k')))), 1);
  CHECK_EQ(Tls(tiny.substr(0, qi::kMaxFirstBytes - 1)), HelloResult::kNeedMore);
  CHECK_EQ(Tls(tiny.substr(0, qi::kMaxFirstBytes)), HelloResult::kMalformed);
  CHECK_EQ(Tls(tiny), HelloResult::kMalformed);
}

TEST(AHelloCutAnywhereNeedsMore) {
  const std::string message = Message(Body(kAlpn + Sni("www.example.com")));
  for (size_t size : {16384u, 50u, 3u}) {
    const std::string whole = Records(message, size);
    for (size_t n = 0; n < whole.size(); ++n) {
      CHECK_EQ(Tls(whole.substr(0, n)), HelloResult::kNeedMore);
      CHECK(hello.name.empty());
    }
  }
}

TEST(OtherProtocols) {
  for (const std::string& bytes : {std::string("GET / HTTP/1.1\r\n"), std::string("SSH-2.0-OpenSSH_9\r\n"),
                                   std::string("\x80\x2e\x01\x03\x01"), std::string("\x15\x03\x03\0\x02\x01\0", 7),
                                   std::string("\x16\x02"), std::string(1, '\0'), std::string("\x17")}) {
    CHECK_EQ(Tls(bytes), HelloResult::kOther);
  }
  CHECK_EQ(Tls("\x16"), HelloResult::kNeedMore);
  CHECK_EQ(Tls(Records(Message(Body(""), 2))), HelloResult::kMalformed);  // a server's
  CHECK_EQ(Tls("\x16" + U16(0x0301) + U16(5) + "\x02"), HelloResult::kMalformed);
}

TEST(NamesThatTwoReadersCouldReadDifferently) {
  const std::string entry = Entry("a.example");
  for (const std::string& extensions :
       {Sni("a.example") + Sni("b.example"), Sni("a.example") + Sni("a.example"),
        Extension(0, List16(entry + Entry("b.example"))), Extension(0, List16(Entry("b.example", 1) + entry)),
        Extension(0, List16(Entry("a.example", 1))), Extension(0, List16("")), Extension(0, ""), Extension(0, entry),
        Extension(0, List16(entry) + "x"), Extension(0, U16(5) + entry), Extension(0, U16(500) + entry), Sni(""),
        Extension(0, List16(kRoot + U16(5) + "a.example")), Extension(0, List16(kRoot + U16(50) + "a.example"))}) {
    CHECK_EQ(Tls(Hello(extensions)), HelloResult::kMalformed);
    CHECK(hello.name.empty());
  }
  for (const std::string& name :
       {std::string("a.example\0.b", 12), std::string("a example"), std::string("a..example"), std::string(".a"),
        std::string("a\n"), std::string("*.example"), std::string("a.example:443"), std::string("b\xc3\xbc.example"),
        std::string("[::1]"), std::string("::1"), std::string(254, 'a'), std::string(64, 'a'), std::string(300, 'a')}) {
    CHECK_EQ(Tls(Hello(Sni(name))), HelloResult::kMalformed);
    CHECK(hello.name.empty());
  }
}

TEST(HellosThatLieAboutTheirParts) {
  const std::string extensions = Sni("a.example") + kAlpn;
  auto message = [](const std::string& body) { return Records(Message(body)); };
  for (const std::string& body :
       {std::string(), kFixed, kFixed.substr(0, 33), kFixed + kCiphers,
        U16(0x0303) + std::string(32, 'r') + List8(std::string(33, 's')) + kCiphers + kNoCompression,
        kFixed + List16("") + kNoCompression + List16(extensions),
        kFixed + List16("abc") + kNoCompression + List16(extensions),
        kFixed + kCiphers + List8("") + List16(extensions), kFixed + kCiphers + kNoCompression + U16(3) + extensions,
        kFixed + kCiphers + kNoCompression + U16(999) + extensions,
        kFixed + kCiphers + kNoCompression + List16(extensions) + "x", kFixed + kCiphers + kNoCompression + "x",
        Body(extensions + "x"), Body(extensions + U16(5)), Body(extensions + U16(5) + U16(1)),
        Body(U16(5) + U16(0xffff) + extensions)}) {
    CHECK_EQ(Tls(message(body)), HelloResult::kMalformed);
    CHECK(hello.name.empty());
  }
  // What lies behind the hello is not lent to it.
  const std::string more = Records("c.example" + std::string(70000, 'x')).substr(0, 60000);
  const std::string sni = Sni("b.example");
  for (const std::string& cut : {sni.substr(0, sni.size() - 9), sni.substr(0, 9), sni.substr(0, 4), U16(5) + U16(9),
                                 kAlpn + U16(0), std::string("x")}) {
    CHECK_EQ(Tls(message(Body(cut)) + more), HelloResult::kMalformed);
    CHECK(hello.name.empty());
  }
  CHECK_EQ(Tls(message(kFixed + U16(4)) + more), HelloResult::kMalformed);
  CHECK_EQ(Tls(Records(Message(Body(extensions)) + "x")), HelloResult::kMalformed);
  CHECK_EQ(Tls(Records(Message(Body(extensions)) + Message(Body(Sni("b.example"))))), HelloResult::kMalformed);
}

TEST(ARequestNamesItsHost) {
  CHECK_EQ(Http(Get("User-Agent: curl\r\nhOsT: \t WWW.Example.com:8080 \t\r\nAccept: */*\r\n") + "body"),
           HelloResult::kGood);
  CHECK_STREQ(head.host.name.text, "www.example.com");
  CHECK_EQ(head.host.port, 8080);
  CHECK(!head.host.is_address && !head.connect && !head.has_target);
  CHECK_EQ(head.size, Get("User-Agent: curl\r\nhOsT: \t WWW.Example.com:8080 \t\r\nAccept: */*\r\n").size());
  CHECK_EQ(Http("POST /a?b=http://c/ HTTP/1.0\r\nHost:a.b\r\n\r\n"), HelloResult::kGood);
  CHECK_EQ(head.host.port, 0);
  CHECK_EQ(Http("OPTIONS * HTTP/1.1\r\nHost:a.b\r\n\r\n"), HelloResult::kGood);
  CHECK_EQ(Http(Get("X: \xff\xc3\t\r\nHost: a.b.\r\nHostile: c.d\r\nX-Host: e.f\r\n")), HelloResult::kGood);
  CHECK_STREQ(head.host.name.text, "a.b");
}

TEST(AddressesAreTold) {
  const struct {
    const char *text, *address;
    int port;
  } hosts[] = {{"192.0.2.1", "192.0.2.1", 0},
               {"192.0.2.1:80", "192.0.2.1", 80},
               {"[2001:db8::1]", "2001:db8::1", 0},
               {"[2001:DB8::1]:65535", "2001:db8::1", 65535},
               {"[::ffff:127.0.0.1]:1", "127.0.0.1", 1}};
  for (const auto& h : hosts) {
    CHECK_EQ(Http(Get(std::string("Host: ") + h.text + "\r\n")), HelloResult::kGood);
    char text[INET6_ADDRSTRLEN];
    qi::FormatAddress(head.host.address, text);
    CHECK(head.host.is_address && head.host.name.empty());
    CHECK_STREQ(text, h.address);
    CHECK_EQ(head.host.port, h.port);
  }
}

TEST(TargetsThatNameAHost) {
  CHECK_EQ(Http("GET http://Real.example:81/x HTTP/1.1\r\nHost: cover.example\r\n\r\n"), HelloResult::kGood);
  CHECK(head.has_target && !head.connect && !head.target_https);
  CHECK_STREQ(head.target.name.text, "real.example");
  CHECK_EQ(head.target.port, 81);
  CHECK_STREQ(head.host.name.text, "cover.example");
  CHECK_EQ(Http("GET HTTPS://[::1]?q HTTP/1.1\r\nHost: a\r\n\r\n"), HelloResult::kGood);
  CHECK(head.target_https && head.target.is_address);
  CHECK_EQ(Http("GET http://a.b HTTP/1.1\r\nHost: a\r\n\r\n"), HelloResult::kGood);
  CHECK_STREQ(head.target.name.text, "a.b");
  CHECK_EQ(Http("CONNECT real.example:443 HTTP/1.1\r\nHost: cover.example\r\n\r\n"), HelloResult::kGood);
  CHECK(head.connect && head.has_target);
  CHECK_STREQ(head.target.name.text, "real.example");
  for (const char* line : {"CONNECT real.example",
                           "CONNECT /",
                           "CONNECT http://a:80",
                           "CONNECT a:80/",
                           "CONNECT *",
                           "GET *",
                           "GET a.b/",
                           "GET a.b:80",
                           "GET http:/a",
                           "GET http:a",
                           "GET http:///a",
                           "GET http://",
                           "GET http://u@a.b/",
                           "GET http://u:p@a/",
                           "GET http://a.b:/",
                           "GET http://a.b:0/",
                           "GET http://a.b:65536/",
                           "GET http://a.b:99999999999/",
                           "GET http://a.b:+1/",
                           "GET http://a\\@b/",
                           "GET http://a b/",
                           "GET http://[::1/",
                           "GET http://[::1]x/",
                           "GET http://[a.b]/",
                           "GET http://[127.0.0.1]/",
                           "GET http://[fe80::1%25eth0]/",
                           "GET http://::1/",
                           "GET ftp://a/",
                           "GET file:///etc",
                           "GET /a#b",
                           "GET http://a#b/",
                           "GET /\xc3\xbc",
                           "GET /\x7f",
                           "GET /\t",
                           "GET \\\\a\\b"}) {
    HelloResult result = Http(std::string(line) + " HTTP/1.1\r\nHost: a.b\r\n\r\n");
    // A blank in the target makes it another request line.
    CHECK(result == HelloResult::kMalformed || (strstr(line, "a b") != nullptr && result == HelloResult::kOther));
    CHECK(!head.has_target && head.host.name.empty() && head.target.name.empty());
  }
}

TEST(HeadsThatTwoReadersCouldReadDifferently) {
  for (const std::string& fields : {std::string(),
                                    std::string("Accept: a\r\n"),
                                    std::string("Host: a\r\nHost: a\r\n"),
                                    std::string("Host: a\r\nhost: b\r\n"),
                                    std::string("Host:\r\n"),
                                    std::string("Host : a\r\n"),
                                    std::string("Host\t: a\r\n"),
                                    std::string(" Host: a\r\n"),
                                    std::string("Host: a\r\nX: b\r\n c\r\n"),
                                    std::string("Host: a\r\n\tb\r\n"),
                                    std::string("Host: a\r\nX\r\n"),
                                    std::string("Host: a\r\n: x\r\n"),
                                    std::string("Host: a\r\nX: b\rHost: c\r\n"),
                                    std::string("Host: a\r\r\n"),
                                    std::string("Host: a\n"),
                                    std::string("Host: a\r\nX: b\nY: c\r\n"),
                                    std::string("Host: a\0b\r\n", 11),
                                    std::string("Host: a\r\nX: \0\r\n", 15),
                                    std::string("Host: a\r\nX\0: b\r\n", 16),
                                    std::string("Host: a\r\nX: \x01\r\n"),
                                    std::string("Host: a\r\nX: \x7f\r\n"),
                                    std::string("Host: a b\r\n"),
                                    std::string("Host: a, b\r\n"),
                                    std::string("Host: a;b\r\n"),
                                    std::string("Host: a:80:80\r\n"),
                                    std::string("Host: a:\r\n"),
                                    std::string("Host: u@a\r\n"),
                                    std::string("Host: a/b\r\n"),
                                    std::string("Host: http://a\r\n"),
                                    std::string("Host: a..b\r\n"),
                                    std::string("Host: \xc3\xbc\r\n"),
                                    std::string("Host: a:080\r\n"),
                                    std::string("Host: ::1\r\n"),
                                    std::string("Host: [::1\r\n"),
                                    std::string("Host: [::1]]\r\n"),
                                    std::string("Host: []\r\n"),
                                    "Host: [" + std::string(60, ':') + "]\r\n",
                                    "Host: " + std::string(254, 'a') + "\r\n",
                                    std::string("H\xc3\xb6st: a\r\n"),
                                    std::string("Host: a\r\nX(: b\r\n")}) {
    CHECK_EQ(Http(Get(fields)), HelloResult::kMalformed);
    CHECK(head.host.name.empty());
  }
  CHECK_EQ(Http("GET / HTTP/1.1\nHost: a\n\n"), HelloResult::kMalformed);
  CHECK_EQ(Http("GET / HTTP/1.1\r\nHost: a\n\n"), HelloResult::kMalformed);
  CHECK_EQ(Http("GET / HTTP/1.1\r\nHost: a\r\n\n"), HelloResult::kMalformed);
  CHECK_EQ(Http("GET / HTTP/1.1\r\n\r\n"), HelloResult::kMalformed);
}

TEST(WhatIsNotHttp) {
  for (const std::string& bytes :
       {std::string("\x16\x03\x01"), std::string("SSH-2.0-x\r\n"), std::string(" GET / HTTP/1.1\r\n"),
        std::string("\r\nGET / HTTP/1.1\r\n"), std::string("GET\t/ HTTP/1.1\r\n"), std::string(1, '\0'),
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), std::string("GET /\r\n"), std::string("GET / HTTP/0.9\r\n"),
        std::string("GET / HTTP/1.2\r\n"), std::string("GET / http/1.1\r\n"), std::string("GET / HTTP/1.1 \r\n"),
        std::string("GET  / HTTP/1.1\r\n"), std::string("EHLO a.b\r\n"), std::string(33, 'A'),
        std::string(33, 'A') + " / HTTP/1.1\r\n"}) {
    CHECK_EQ(Http(bytes), HelloResult::kOther);
  }
  CHECK_EQ(Http(std::string(32, 'A')), HelloResult::kNeedMore);
}

TEST(AHeadCutAnywhereNeedsMore) {
  for (const std::string& whole :
       {Get("Accept: */*\r\nHost: a.b\r\nX: y\r\n"), std::string("CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n"),
        std::string("GET http://a.b/ HTTP/1.1\r\nHost: a.b\r\n\r\n")}) {
    CHECK_EQ(Http(whole), HelloResult::kGood);
    for (size_t n = 0; n < whole.size(); ++n) {
      CHECK_EQ(Http(whole.substr(0, n)), HelloResult::kNeedMore);
      CHECK(head.host.name.empty() && !head.has_target);
    }
  }
}

TEST(ALongHeadIsBounded) {
  const std::string start = "GET / HTTP/1.1\r\nHost: a.b\r\nX: ", end = "\r\n\r\n";
  const size_t fill = qi::kMaxFirstBytes - start.size() - end.size();
  CHECK_EQ(Http(start + std::string(fill, 'x') + end), HelloResult::kGood);
  CHECK_EQ(Http(start + std::string(fill, 'x') + end + "body"), HelloResult::kGood);
  CHECK_EQ(Http(start + std::string(fill + 1, 'x') + end), HelloResult::kMalformed);
  CHECK_EQ(Http((start + std::string(fill, 'x') + end).substr(0, qi::kMaxFirstBytes - 1)), HelloResult::kNeedMore);
  CHECK_EQ(Http("GET /" + std::string(qi::kMaxFirstBytes, 'x')), HelloResult::kMalformed);
}

CHECK_MAIN()
