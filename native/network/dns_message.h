// DNS messages (RFC 1035, 2308, 6891) as far as a filter between a hostile program and the host's resolvers needs
// them: one question, A, AAAA and CNAME. Every byte read is somebody else's. No allocation. May run in: gateway.
#pragma once
#include <cstddef>
#include <cstdint>

#include "network/address.h"
#include "network/name.h"

namespace qi {

constexpr uint16_t kDnsA = 1, kDnsCname = 5, kDnsSoa = 6, kDnsAaaa = 28, kDnsOpt = 41;
constexpr size_t kDnsUdpSize = 512;        // what a client without EDNS takes
constexpr size_t kDnsMaxUdpSize = 4096;    // the most a client may ask for
constexpr size_t kDnsUpstreamSize = 1232;  // what we tell upstream we take: no fragments
constexpr size_t kDnsMaxSize = 65535;      // over TCP
constexpr size_t kDnsMaxLinks = 16;
constexpr size_t kDnsMaxAddresses = 32;

enum class Rcode : uint8_t { kNoError, kFormErr, kServFail, kNxDomain, kNotImp, kRefused, kBadVers = 16 };

enum class QueryResult : uint8_t {
  kGood,
  kSilent,   // too short or a response itself: never answered, or two servers could answer each other forever
  kFormErr,  // lies about its own structure
  kNotImp,   // another operation than a query
  kRefused,  // another class than IN
  kBadVers,  // a version of EDNS we do not have
  kBadName   // well formed, but no host name
};
Rcode RcodeFor(QueryResult result);  // what to answer; kNxDomain for a bad name

struct DnsQuery {
  uint16_t id = 0;
  uint8_t opcode = 0;
  bool recursion_desired = false;
  bool edns = false;
  uint16_t udp_size = kDnsUdpSize;  // 512 to 4096; nothing over UDP may be longer
  uint16_t type = 0;
  uint16_t question_size = 0;  // 0: nothing to echo
  uint8_t question[255 + 4];   // name in the client's own upper and lower case, type, class: some clients compare it
  Name name;                   // only of a good one
  char shown[260] = "";        // the name for an event, whatever it holds: printable, `\` before a dot, \DDD, maybe cut
};

QueryResult ParseQuery(const void* bytes, size_t size, DnsQuery* query);

// What a message says of a name: it is an alias of chain[0], that of chain[1]..., and the last one has `addresses`.
struct DnsData {
  Name chain[kDnsMaxLinks];
  size_t chain_count = 0;
  IpAddress addresses[kDnsMaxAddresses];
  size_t address_count = 0;
  uint32_t ttl = 0;  // seconds; the least of all. Of a negative answer: how long it holds, 0 when upstream does not say
};

enum class AnswerResult : uint8_t {
  kData,           // addresses, or (when asked for CNAME) one link
  kNoData,         // the name is there, with nothing of that type
  kNxDomain,       // the end of the chain is not there
  kTruncated,      // to be asked again over TCP
  kNotMine,        // another id or question, or no response: to be ignored as if it had not come
  kServerFailure,  // another server may know better
  kMalformed       // lies about its structure, or aliases that run in a circle; the same
};

// `type`: kDnsA, kDnsAaaa or kDnsCname. Records of any name that the chain does not lead to are passed over.
AnswerResult ParseAnswer(const void* bytes, size_t size, uint16_t id, const Name& name, uint16_t type, DnsData* data);

// Both return the size of the message; 0: `room` is too small, or the name empty.
size_t BuildUpstreamQuery(uint16_t id, const Name& name, uint16_t type, void* out, size_t room);
// For every result but kSilent. Longer than `limit`: the answer is left out and the client told to come by TCP.
// 512 bytes are always enough for that. Only addresses of the type that was asked for are told.
size_t BuildResponse(const DnsQuery& query, Rcode rcode, const DnsData& data, void* out, size_t limit);

}  // namespace qi
