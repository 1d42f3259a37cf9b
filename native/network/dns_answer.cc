#include <cstring>

#include "network/dns_message.h"
#include "network/dns_wire.h"

namespace qi {
namespace {

// The answer section, of which every record was read once before and is known to be whole.
struct Answers {
  const void* bytes;
  size_t size;
  size_t start;
  uint16_t count;

  DnsReader Reader() const { return DnsReader(bytes, size, start); }
};

struct Scan {
  bool has_soa = false;
  DnsRecord soa;
  bool has_extended_rcode = false;
};

bool IsOf(const DnsRecord& record, const Name& name, uint16_t type) {
  Name owner;
  return record.type == type && record.klass == kDnsClassIn && ToName(record.owner, &owner) && owner == name;
}

// All three sections to the end: nothing is taken from a message that lies anywhere.
bool ScanRecords(DnsReader in, const DnsHeader& header, Scan* scan) {
  DnsRecord record;
  for (uint16_t i = 0; i < header.answers; ++i) {
    if (!in.ReadRecord(&record)) return false;
  }
  for (uint16_t i = 0; i < header.authorities; ++i) {
    if (!in.ReadRecord(&record)) return false;
    if (record.type != kDnsSoa || record.klass != kDnsClassIn || scan->has_soa) continue;
    scan->has_soa = true;
    scan->soa = record;
  }
  for (uint16_t i = 0; i < header.additionals; ++i) {
    if (!in.ReadRecord(&record)) return false;
    if (record.type == kDnsOpt && record.ttl >> 24 != 0) scan->has_extended_rcode = true;
  }
  return true;
}

void Lower(uint32_t* ttl, uint32_t other) {
  if (other < *ttl) *ttl = other;
}

bool ReadLink(const Answers& answers, const DnsRecord& record, Name* target) {
  DnsReader in(answers.bytes, record.data + record.length, record.data);
  WireName name;
  return in.ReadName(&name) && in.AtEnd() && ToName(name, target);
}

// The link that starts at `name`. Returns false for one that leads nowhere; `found` says whether there is one.
bool FindLink(const Answers& answers, const Name& name, DnsData* data, bool* found) {
  DnsReader in = answers.Reader();
  DnsRecord record;
  *found = false;
  for (uint16_t i = 0; i < answers.count && in.ReadRecord(&record); ++i) {
    if (!IsOf(record, name, kDnsCname)) continue;
    if (data->chain_count == kDnsMaxLinks) return false;
    if (!ReadLink(answers, record, &data->chain[data->chain_count])) return false;
    ++data->chain_count;
    Lower(&data->ttl, record.seconds());
    *found = true;
    return true;
  }
  return true;
}

// In whatever order the links are. A circle is longer than any chain, so it ends at the bound.
bool FollowLinks(const Answers& answers, const Name& name, uint16_t type, DnsData* data) {
  Name at = name;
  for (bool found = true; found;) {
    if (!FindLink(answers, at, data, &found)) return false;
    if (found && type == kDnsCname) return true;
    if (found) at = data->chain[data->chain_count - 1];
  }
  return true;
}

bool CollectAddresses(const Answers& answers, const Name& name, uint16_t type, DnsData* data) {
  DnsReader in = answers.Reader();
  DnsRecord record;
  for (uint16_t i = 0; i < answers.count && in.ReadRecord(&record); ++i) {
    if (!IsOf(record, name, type)) continue;
    if (record.length != (type == kDnsA ? 4 : 16)) return false;
    IpAddress address;
    if (type == kDnsA) {
      address = From4(in.Bytes(record.data));
    } else {
      memcpy(address.bytes, in.Bytes(record.data), sizeof(address.bytes));
      if (address.Is4()) continue;  // an IPv4-mapped one is nobody's address
    }
    if (data->address_count == kDnsMaxAddresses) continue;
    data->addresses[data->address_count++] = address;
    Lower(&data->ttl, record.seconds());
  }
  return true;
}

// How long "there is nothing" holds: RFC 2308, 5. Only a zone that `name` lies in can say so.
bool ReadNegativeTtl(const Answers& answers, const Scan& scan, const Name& name, uint32_t* ttl) {
  DnsReader in(answers.bytes, scan.soa.data + scan.soa.length, scan.soa.data);
  WireName server, mailbox;
  if (!in.ReadName(&server) || !in.ReadName(&mailbox)) {
    return false;
  }
  uint32_t minimum = 0;
  for (int i = 0; i < 5; ++i) {  // serial, refresh, retry, expire, minimum
    if (!in.Read32(&minimum)) return false;
  }
  Name zone;
  bool in_zone = scan.soa.owner.size == 1 || (ToName(scan.soa.owner, &zone) && (name == zone || IsBelow(name, zone)));
  Lower(ttl, in_zone ? scan.soa.seconds() : 0);
  Lower(ttl, minimum >> 31 != 0 ? 0 : minimum);
  return in.AtEnd();
}

// The response's own header and question: true when it is about what was asked.
bool IsMine(DnsReader* in, const DnsHeader& header, const Name& name, uint16_t type) {
  WireName asked;
  Name asked_name;
  uint16_t asked_type, klass;
  return header.questions == 1 && in->ReadName(&asked) && in->Read16(&asked_type) && in->Read16(&klass) &&
         ToName(asked, &asked_name) && asked_name == name && asked_type == type && klass == kDnsClassIn;
}

AnswerResult ReadData(const Answers& answers, const DnsHeader& header, const Scan& scan, const Name& name,
                      uint16_t type, DnsData* data) {
  data->ttl = UINT32_MAX;
  if (!FollowLinks(answers, name, type, data)) return AnswerResult::kMalformed;
  const Name& end = data->chain_count > 0 ? data->chain[data->chain_count - 1] : name;
  bool negative = header.rcode() != 0;
  if (!negative && (type == kDnsA || type == kDnsAaaa) && !CollectAddresses(answers, end, type, data)) {
    return AnswerResult::kMalformed;
  }
  if (!negative && (data->address_count > 0 || (type == kDnsCname && data->chain_count > 0))) {
    return AnswerResult::kData;
  }
  // A server that neither knows nor asks others only points elsewhere; that is no statement about the name.
  if (!negative && !scan.has_soa && (header.flags & (kDnsAuthoritative | kDnsRecursionAvailable)) == 0) {
    return AnswerResult::kServerFailure;
  }
  if (!scan.has_soa) {
    data->ttl = 0;
  } else if (!ReadNegativeTtl(answers, scan, end, &data->ttl)) {
    return AnswerResult::kMalformed;
  }
  return negative ? AnswerResult::kNxDomain : AnswerResult::kNoData;
}

}  // namespace

AnswerResult ParseAnswer(const void* bytes, size_t size, uint16_t id, const Name& name, uint16_t type, DnsData* data) {
  *data = DnsData();
  DnsReader in(bytes, size);
  DnsHeader header;
  if (size > kDnsMaxSize || !in.ReadHeader(&header) || header.id != id || (header.flags & kDnsResponse) == 0 ||
      header.opcode() != 0) {
    return AnswerResult::kNotMine;
  }
  bool failed = header.rcode() != static_cast<uint8_t>(Rcode::kNoError) &&
                header.rcode() != static_cast<uint8_t>(Rcode::kNxDomain);
  // Some servers that fail do not even repeat the question.
  if (failed && header.questions == 0) return AnswerResult::kServerFailure;
  if (!IsMine(&in, header, name, type)) return AnswerResult::kNotMine;
  if (failed) return AnswerResult::kServerFailure;
  if ((header.flags & kDnsTruncated) != 0) return AnswerResult::kTruncated;
  Scan scan;
  if (!ScanRecords(in, header, &scan)) return AnswerResult::kMalformed;
  if (scan.has_extended_rcode) return AnswerResult::kServerFailure;
  AnswerResult result = ReadData({bytes, size, in.at(), header.answers}, header, scan, name, type, data);
  if (result == AnswerResult::kMalformed || result == AnswerResult::kServerFailure) *data = DnsData();
  return result;
}

}  // namespace qi
