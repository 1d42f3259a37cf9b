// The bytes of DNS messages: reading that cannot leave the buffer, names without their compression, writing that cannot
// leave the room. May run in: gateway.
#pragma once
#include <cstddef>
#include <cstdint>

#include "network/name.h"

namespace qi {

constexpr size_t kDnsHeaderSize = 12;
constexpr uint16_t kDnsClassIn = 1;
constexpr uint16_t kDnsResponse = 0x8000, kDnsAuthoritative = 0x0400, kDnsTruncated = 0x0200;
constexpr uint16_t kDnsRecursionDesired = 0x0100, kDnsRecursionAvailable = 0x0080;

// A name as it is on the wire, pointers followed: labels with their lengths, the root label last.
struct WireName {
  uint8_t bytes[255];
  size_t size = 0;  // of a broken one: what came before the fault
};

// False: no host name, or the root. A dot inside a label is not let through as one between two.
bool ToName(const WireName& wire, Name* name);
void ShowName(const WireName& wire, char* text, size_t room);

struct DnsHeader {
  uint16_t id, flags, questions, answers, authorities, additionals;

  uint8_t opcode() const { return flags >> 11 & 15; }
  uint8_t rcode() const { return flags & 15; }
};

struct DnsRecord {
  WireName owner;
  uint16_t type, klass;
  uint32_t ttl;     // of OPT: other things
  size_t data;      // offset in the message
  uint16_t length;  // of the data, all of it inside the message

  uint32_t seconds() const { return ttl >> 31 == 0 ? ttl : 0; }  // RFC 2181, 8
};

// Every Read leaves the position alone when it returns false; nothing more can be read of such a message.
class DnsReader {
 public:
  DnsReader(const void* bytes, size_t size, size_t at = 0)
      : bytes_(static_cast<const uint8_t*>(bytes)), size_(size), at_(at < size ? at : size) {}

  size_t at() const { return at_; }
  bool AtEnd() const { return at_ == size_; }
  const uint8_t* Bytes(size_t offset) const { return bytes_ + offset; }
  bool Read16(uint16_t* value);
  bool Read32(uint32_t* value);
  bool ReadHeader(DnsHeader* header);
  bool ReadName(WireName* name);
  bool ReadRecord(DnsRecord* record);

 private:
  bool Has(size_t n) const { return size_ - at_ >= n; }

  const uint8_t* bytes_;
  size_t size_;
  size_t at_;
};

// After the first thing that does not fit nothing is written any more.
class DnsWriter {
 public:
  DnsWriter(void* out, size_t room) : out_(static_cast<uint8_t*>(out)), room_(room) {}

  size_t at() const { return at_; }
  bool full() const { return full_; }
  void Back(size_t at) { at_ = at, full_ = false; }
  void Write8(uint8_t value) { WriteBytes(&value, 1); }
  void Write16(uint16_t value);
  void Write32(uint32_t value);
  void WriteBytes(const void* bytes, size_t size);
  void WriteHeader(const DnsHeader& header);
  void WriteName(const Name& name);
  void WriteOpt(uint16_t udp_size, uint8_t high_rcode);

 private:
  uint8_t* out_;
  size_t room_;
  size_t at_ = 0;
  bool full_ = false;
};

}  // namespace qi
