// Any bytes as a DNS query and as an answer. What is read can be written, and reads back as the same.
#include <cstdlib>
#include <cstring>

#include "network/dns_message.h"

namespace {

constexpr uint16_t kTypes[] = {qi::kDnsA, qi::kDnsAaaa, qi::kDnsCname};

void Expect(bool condition) {
  if (!condition) abort();
}

void ExpectName(const qi::Name& name) {
  qi::Name again;
  Expect(qi::ParseName(name.text, name.size, &again) && again == name && strlen(name.text) == name.size);
}

void ExpectData(const qi::DnsData& data) {
  Expect(data.chain_count <= qi::kDnsMaxLinks && data.address_count <= qi::kDnsMaxAddresses);
  for (size_t i = 0; i < data.chain_count; ++i) ExpectName(data.chain[i]);
}

bool IsNegative(qi::AnswerResult result) {
  return result == qi::AnswerResult::kNoData || result == qi::AnswerResult::kNxDomain;
}

// The same query as a client would send it, for the response to be built on.
qi::DnsQuery Ask(uint16_t id, const qi::Name& name, uint16_t type) {
  uint8_t bytes[512];
  size_t size = qi::BuildUpstreamQuery(id, name, type, bytes, sizeof(bytes));
  qi::DnsQuery query;
  Expect(size > 0 && qi::ParseQuery(bytes, size, &query) == qi::QueryResult::kGood);
  Expect(query.id == id && query.name == name && query.type == type && query.edns);
  return query;
}

void Same(const qi::DnsData& a, const qi::DnsData& b, bool negative) {
  Expect(a.chain_count == b.chain_count && a.address_count == b.address_count);
  for (size_t i = 0; i < a.chain_count; ++i) Expect(a.chain[i] == b.chain[i]);
  for (size_t i = 0; i < a.address_count; ++i) Expect(a.addresses[i] == b.addresses[i]);
  Expect(negative || a.ttl == b.ttl);  // what we write of nothing has no SOA
}

// What we tell the client is what upstream told us, whole or cut.
void RoundTrip(const qi::DnsQuery& query, qi::AnswerResult result, const qi::DnsData& data) {
  static uint8_t out[qi::kDnsMaxSize];
  static qi::DnsData again;
  qi::Rcode rcode = result == qi::AnswerResult::kNxDomain ? qi::Rcode::kNxDomain : qi::Rcode::kNoError;
  size_t size = qi::BuildResponse(query, rcode, data, out, sizeof(out));
  Expect(size > 0 && qi::ParseAnswer(out, size, query.id, query.name, query.type, &again) == result);
  Same(data, again, IsNegative(result));
  size_t cut = qi::BuildResponse(query, rcode, data, out, qi::kDnsUdpSize);
  Expect(cut > 0 && cut <= qi::kDnsUdpSize && cut <= size);
  qi::AnswerResult told = qi::ParseAnswer(out, cut, query.id, query.name, query.type, &again);
  Expect(told == (cut == size ? result : qi::AnswerResult::kTruncated));
}

void FuzzQuery(const uint8_t* data, size_t size) {
  qi::DnsQuery query;
  qi::QueryResult result = qi::ParseQuery(data, size, &query);
  Expect(memchr(query.shown, 0, sizeof(query.shown)) != nullptr);
  for (const char* c = query.shown; *c != 0; ++c) Expect(*c > ' ' && *c < 0x7f);
  Expect(query.question_size <= sizeof(query.question));
  Expect((result == qi::QueryResult::kGood) == !query.name.empty());
  if (result == qi::QueryResult::kGood) ExpectName(query.name);
  if (result == qi::QueryResult::kSilent) return;
  uint8_t out[qi::kDnsUdpSize];
  static qi::DnsData again;
  size_t written = qi::BuildResponse(query, qi::RcodeFor(result), qi::DnsData(), out, sizeof(out));
  Expect(written > 0);
  if (result != qi::QueryResult::kGood) return;
  Expect(qi::ParseAnswer(out, written, query.id, query.name, query.type, &again) == qi::AnswerResult::kNoData);
}

// The question that the answer itself says it is about, or fuzzing would never get past it.
bool QuestionOf(const uint8_t* data, size_t size, uint16_t* id, qi::DnsQuery* query) {
  if (size < 12) return false;
  static uint8_t copy[qi::kDnsMaxSize];
  size_t end = 12;
  while (end < size && data[end] != 0) end += size_t{1} + data[end];
  end += 5;
  if (end > size || end > sizeof(copy)) return false;
  memcpy(copy, data, end);
  memset(copy + 2, 0, 10);
  copy[5] = 1;
  *id = static_cast<uint16_t>(data[0] << 8 | data[1]);
  return qi::ParseQuery(copy, end, query) == qi::QueryResult::kGood;
}

void FuzzAnswer(const uint8_t* bytes, size_t size) {
  static qi::DnsData data;
  uint16_t id = 0;
  qi::DnsQuery query;
  if (!QuestionOf(bytes, size, &id, &query)) return;
  for (uint16_t type : kTypes) {
    qi::AnswerResult result = qi::ParseAnswer(bytes, size, id, query.name, type, &data);
    Expect(type == query.type || result == qi::AnswerResult::kNotMine || result == qi::AnswerResult::kServerFailure);
    ExpectData(data);
    if (result == qi::AnswerResult::kData || IsNegative(result))
      RoundTrip(Ask(id, query.name, type), result, data);
    else
      Expect(data.address_count == 0 && data.chain_count == 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzQuery(data, size);
  FuzzAnswer(data, size);
  return 0;
}
