// Any bytes as a TLS hello and as an HTTP head. More bytes never change what was said of the first ones.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "network/tls_hello.h"

namespace {

void Expect(bool condition) {
  if (!condition) abort();
}

void ExpectName(const qi::Name& name) {
  qi::Name again;
  Expect(name.empty() || (qi::ParseName(name.text, name.size, &again) && again == name));
}

bool Same(const qi::HttpHost& a, const qi::HttpHost& b) {
  return a.name == b.name && a.is_address == b.is_address && a.address == b.address && a.port == b.port;
}

void ExpectHost(const qi::HttpHost& host) {
  ExpectName(host.name);
  Expect(host.is_address == host.name.empty());
}

// A copy that ends where its allocation ends, for the sanitizer to see one byte too many.
std::vector<uint8_t> Prefix(const uint8_t* data, size_t size) { return std::vector<uint8_t>(data, data + size); }

void FuzzTls(const uint8_t* data, size_t size, size_t cut) {
  qi::ClientHello part, whole;
  qi::HelloResult first = qi::ParseClientHello(Prefix(data, cut).data(), cut, &part);
  qi::HelloResult all = qi::ParseClientHello(data, size, &whole);
  Expect(first == qi::HelloResult::kNeedMore || first == all);
  if (first == qi::HelloResult::kGood) Expect(part.name == whole.name && part.encrypted == whole.encrypted);
  ExpectName(whole.name);
  if (all != qi::HelloResult::kGood) Expect(whole.name.empty() && !whole.encrypted);
}

void FuzzHttp(const uint8_t* data, size_t size, size_t cut) {
  qi::HttpHead part, whole;
  qi::HelloResult first = qi::ParseHttpHead(Prefix(data, cut).data(), cut, &part);
  qi::HelloResult all = qi::ParseHttpHead(data, size, &whole);
  Expect(first == qi::HelloResult::kNeedMore || first == all);
  if (all != qi::HelloResult::kGood) {
    Expect(whole.host.name.empty() && !whole.has_target && whole.size == 0);
    return;
  }
  ExpectHost(whole.host);
  if (whole.has_target) ExpectHost(whole.target);
  Expect(whole.size <= size && memcmp(data + whole.size - 4, "\r\n\r\n", 4) == 0);
  if (first == qi::HelloResult::kGood) Expect(part.size == whole.size && Same(part.host, whole.host));
}

}  // namespace

// The first two bytes say where the bytes are cut.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  size_t cut = static_cast<size_t>(data[0] << 8 | data[1]);
  data += 2, size -= 2;
  if (cut > size) cut = size;
  FuzzTls(data, size, cut);
  FuzzHttp(data, size, cut);
  return 0;
}
