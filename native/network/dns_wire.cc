#include "network/dns_wire.h"

#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "network/dns_message.h"

namespace qi {
namespace {

constexpr uint8_t kPointer = 0xc0;  // both bits; one of them alone is reserved
constexpr size_t kMaxJumps = 32;    // pointers to pointers add nothing to a name, so its length does not bound them

// One label and its length byte, appended. False: cut, too long, or not a label at all.
bool AppendLabel(const uint8_t* at, const uint8_t* end, WireName* name) {
  size_t size = size_t{1} + *at;
  if (*at >= 64 || static_cast<size_t>(end - at) < size || sizeof(name->bytes) - name->size < size) return false;
  memcpy(name->bytes + name->size, at, size);
  name->size += size;
  return true;
}

}  // namespace

bool ToName(const WireName& wire, Name* name) {
  char text[sizeof(wire.bytes)];
  size_t size = 0;
  for (size_t at = 0; at < wire.size && wire.bytes[at] != 0;) {
    size_t label = wire.bytes[at++];
    if (memchr(wire.bytes + at, '.', label) != nullptr) {
      size = 0;
      break;
    }
    if (size > 0) text[size++] = '.';
    memcpy(text + size, wire.bytes + at, label);
    size += label;
    at += label;
  }
  if (size > 0 && ParseName(text, size, name)) return true;
  *name = Name();
  return false;
}

void ShowName(const WireName& wire, char* text, size_t room) {
  size_t size = 0;
  size_t next = 0;  // label
  for (size_t at = 0; at < wire.size && room - size > 6; ++at) {
    uint8_t c = wire.bytes[at];
    if (at == next) {
      next += size_t{1} + c;
      if (at > 0 && c != 0) text[size++] = '.';
    } else if (c == '.' || c == '\\') {
      text[size++] = '\\';
      text[size++] = static_cast<char>(c);
    } else if (c > ' ' && c < 0x7f) {
      text[size++] = static_cast<char>(c);
    } else {
      size += static_cast<size_t>(snprintf(text + size, room - size, "\\%03u", c));
    }
  }
  if (wire.size == 1) text[size++] = '.';  // the root
  text[size] = 0;
}

bool DnsReader::Read16(uint16_t* value) {
  if (!Has(2)) return false;
  *value = static_cast<uint16_t>(bytes_[at_] << 8 | bytes_[at_ + 1]);
  at_ += 2;
  return true;
}

bool DnsReader::Read32(uint32_t* value) {
  uint16_t high, low;
  if (!Has(4) || !Read16(&high) || !Read16(&low)) return false;
  *value = uint32_t{high} << 16 | low;
  return true;
}

bool DnsReader::ReadHeader(DnsHeader* header) {
  if (!Has(kDnsHeaderSize)) return false;
  for (uint16_t* field : {&header->id, &header->flags, &header->questions, &header->answers, &header->authorities,
                          &header->additionals}) {
    (void)Read16(field);  // cannot fail: the room was checked
  }
  return true;
}

bool DnsReader::ReadName(WireName* name) {
  name->size = 0;
  size_t at = at_, part = at_;  // part: where the labels read now began
  size_t after = 0;             // the first pointer: there the name ends in its own place
  for (size_t jumps = 0; at < size_;) {
    uint8_t length = bytes_[at];
    if ((length & kPointer) != kPointer) {
      if (!AppendLabel(bytes_ + at, bytes_ + size_, name)) return false;
      at += size_t{1} + length;
      if (length > 0) continue;
      at_ = after != 0 ? after : at;
      return true;
    }
    if (size_ - at < 2 || ++jumps > kMaxJumps) return false;
    size_t target = static_cast<size_t>(length & ~kPointer) << 8 | bytes_[at + 1];
    // "A prior occurrence" (RFC 1035, 4.1.4): each part before the last one, so there is no way round in a circle.
    if (target >= part || target < kDnsHeaderSize) return false;
    if (after == 0) after = at + 2;
    at = part = target;
  }
  return false;
}

bool DnsReader::ReadRecord(DnsRecord* record) {
  size_t start = at_;
  if (ReadName(&record->owner) && Read16(&record->type) && Read16(&record->klass) && Read32(&record->ttl) &&
      Read16(&record->length) && Has(record->length)) {
    record->data = at_;
    at_ += record->length;
    return true;
  }
  at_ = start;
  return false;
}

void DnsWriter::WriteBytes(const void* bytes, size_t size) {
  if (full_ || room_ - at_ < size) {
    full_ = true;
    return;
  }
  memcpy(out_ + at_, bytes, size);
  at_ += size;
}

void DnsWriter::Write16(uint16_t value) {
  const uint8_t bytes[] = {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
  WriteBytes(bytes, sizeof(bytes));
}

void DnsWriter::Write32(uint32_t value) {
  Write16(static_cast<uint16_t>(value >> 16));
  Write16(static_cast<uint16_t>(value));
}

void DnsWriter::WriteHeader(const DnsHeader& header) {
  for (uint16_t field :
       {header.id, header.flags, header.questions, header.answers, header.authorities, header.additionals}) {
    Write16(field);
  }
}

void DnsWriter::WriteName(const Name& name) {
  for (const char *label = name.text, *end = name.text + name.size; label < end;) {
    const auto* dot = static_cast<const char*>(memchr(label, '.', static_cast<size_t>(end - label)));
    if (dot == nullptr) dot = end;
    Write8(static_cast<uint8_t>(dot - label));
    WriteBytes(label, static_cast<size_t>(dot - label));
    label = dot + 1;
  }
  Write8(0);
}

void DnsWriter::WriteOpt(uint16_t udp_size, uint8_t high_rcode) {
  Write8(0);
  Write16(kDnsOpt);
  Write16(udp_size);
  Write32(uint32_t{high_rcode} << 24);
  Write16(0);
}

}  // namespace qi
