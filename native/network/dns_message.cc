#include "network/dns_message.h"

#include <cstring>

#include "network/dns_wire.h"

namespace qi {
namespace {

constexpr uint16_t kOwnQuestion = 0xc000 | kDnsHeaderSize;  // a pointer to the name of the question

bool ReadQuestion(DnsReader* in, DnsQuery* query, uint16_t* klass, WireName* name) {
  bool read = in->ReadName(name);  // a pointer has nothing before it to point at
  ShowName(*name, query->shown, sizeof(query->shown));
  size_t fields = in->at();
  if (!read || !in->Read16(&query->type) || !in->Read16(klass)) return false;
  memcpy(query->question, name->bytes, name->size);
  memcpy(query->question + name->size, in->Bytes(fields), 4);
  return true;
}

// EDNS, RFC 6891: only the root may own it. Any other additional record (a TSIG) means nothing to us.
bool ReadAdditional(DnsReader* in, DnsQuery* query, uint8_t* version) {
  DnsRecord record;
  if (!in->ReadRecord(&record)) return false;
  if (record.type != kDnsOpt) return true;
  query->edns = true;
  query->udp_size = record.klass < kDnsUdpSize ? kDnsUdpSize : record.klass;
  if (query->udp_size > kDnsMaxUdpSize) query->udp_size = kDnsMaxUdpSize;
  *version = static_cast<uint8_t>(record.ttl >> 16);
  return record.owner.size == 1;
}

void WriteLinks(DnsWriter* out, const DnsData& data, uint16_t* owner) {
  for (size_t i = 0; i < data.chain_count; ++i) {
    out->Write16(*owner);
    out->Write16(kDnsCname);
    out->Write16(kDnsClassIn);
    out->Write32(data.ttl);
    out->Write16(static_cast<uint16_t>(data.chain[i].size + 2));
    *owner = static_cast<uint16_t>(0xc000 | out->at());  // 16 links end far below the 16 KiB that a pointer reaches
    out->WriteName(data.chain[i]);
  }
}

uint16_t WriteAddresses(DnsWriter* out, const DnsData& data, uint16_t type, uint16_t owner) {
  uint16_t count = 0;
  size_t skip = type == kDnsA ? 12 : 0;
  for (size_t i = 0; i < data.address_count; ++i) {
    if (data.addresses[i].Is4() != (type == kDnsA)) continue;
    out->Write16(owner);
    out->Write16(type);
    out->Write16(kDnsClassIn);
    out->Write32(data.ttl);
    out->Write16(static_cast<uint16_t>(16 - skip));
    out->WriteBytes(data.addresses[i].bytes + skip, 16 - skip);
    ++count;
  }
  return count;
}

}  // namespace

Rcode RcodeFor(QueryResult result) {
  switch (result) {
    case QueryResult::kGood:
      return Rcode::kNoError;
    case QueryResult::kNotImp:
      return Rcode::kNotImp;
    case QueryResult::kRefused:
      return Rcode::kRefused;
    case QueryResult::kBadVers:
      return Rcode::kBadVers;
    case QueryResult::kBadName:
      return Rcode::kNxDomain;
    case QueryResult::kSilent:
    case QueryResult::kFormErr:
      break;
  }
  return Rcode::kFormErr;
}

QueryResult ParseQuery(const void* bytes, size_t size, DnsQuery* query) {
  *query = DnsQuery();
  DnsReader in(bytes, size);
  DnsHeader header;
  if (!in.ReadHeader(&header) || (header.flags & kDnsResponse) != 0) return QueryResult::kSilent;
  query->id = header.id;
  query->opcode = header.opcode();
  query->recursion_desired = (header.flags & kDnsRecursionDesired) != 0;
  if (query->opcode != 0) return QueryResult::kNotImp;
  if (header.questions != 1 || header.answers != 0 || header.authorities != 0 || header.additionals > 1) {
    return QueryResult::kFormErr;
  }
  WireName name;
  uint16_t klass;
  uint8_t version = 0;
  if (!ReadQuestion(&in, query, &klass, &name)) return QueryResult::kFormErr;
  if (header.additionals == 1 && !ReadAdditional(&in, query, &version)) return QueryResult::kFormErr;
  if (!in.AtEnd()) return QueryResult::kFormErr;
  query->question_size = static_cast<uint16_t>(name.size + 4);
  if (version != 0) return QueryResult::kBadVers;
  if (klass != kDnsClassIn) return QueryResult::kRefused;
  return ToName(name, &query->name) ? QueryResult::kGood : QueryResult::kBadName;
}

size_t BuildUpstreamQuery(uint16_t id, const Name& name, uint16_t type, void* bytes, size_t room) {
  DnsWriter out(bytes, room);
  out.WriteHeader({id, kDnsRecursionDesired, 1, 0, 0, 1});
  out.WriteName(name);
  out.Write16(type);
  out.Write16(kDnsClassIn);
  out.WriteOpt(kDnsUpstreamSize, 0);
  return out.full() || name.empty() ? 0 : out.at();
}

size_t BuildResponse(const DnsQuery& query, Rcode rcode, const DnsData& data, void* bytes, size_t limit) {
  auto code = static_cast<uint16_t>(rcode);
  DnsHeader header = {};
  header.id = query.id;
  header.flags = static_cast<uint16_t>(kDnsResponse | query.opcode << 11 | kDnsRecursionAvailable | (code & 15));
  if (query.recursion_desired) header.flags |= kDnsRecursionDesired;
  header.questions = query.question_size > 0 ? 1 : 0;
  header.additionals = query.edns ? 1 : 0;

  constexpr size_t kOptSize = 11;
  DnsWriter out(bytes, limit);
  out.WriteHeader(header);
  out.WriteBytes(query.question, query.question_size);
  size_t question_end = out.at();
  if (out.full() || (query.edns && limit - question_end < kOptSize)) return 0;
  if (query.question_size > 0 && (rcode == Rcode::kNoError || rcode == Rcode::kNxDomain)) {
    uint16_t owner = kOwnQuestion;
    WriteLinks(&out, data, &owner);
    header.answers = static_cast<uint16_t>(data.chain_count);
    if (rcode == Rcode::kNoError && (query.type == kDnsA || query.type == kDnsAaaa)) {
      header.answers += WriteAddresses(&out, data, query.type, owner);
    }
  }
  if (query.edns) out.WriteOpt(kDnsUpstreamSize, static_cast<uint8_t>(code >> 4));
  if (out.full()) {
    header.flags |= kDnsTruncated;
    header.answers = 0;
    out.Back(question_end);
    if (query.edns) out.WriteOpt(kDnsUpstreamSize, static_cast<uint8_t>(code >> 4));
  }
  DnsWriter(bytes, limit).WriteHeader(header);
  return out.at();
}

}  // namespace qi
