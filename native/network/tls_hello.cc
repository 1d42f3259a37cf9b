#include "network/tls_hello.h"

namespace qi {
namespace {

constexpr uint8_t kHandshakeRecord = 22, kClientHello = 1;
constexpr size_t kRecordHeader = 5, kHandshakeHeader = 4;
constexpr size_t kMaxRecord = 16384;  // RFC 8446, 5.1
constexpr uint16_t kServerName = 0, kEncryptedClientHello = 0xfe0d;

// What the handshake records carry, as one sequence: a hello may be cut into records at any byte.
class Handshake {
 public:
  Handshake(const uint8_t* bytes, size_t size) : next_(bytes), end_(bytes + size) {}

  // Good when the next byte is there. At a record's end: the next record's header.
  HelloResult Step() {
    if (left_ > 0) return next_ < end_ ? HelloResult::kGood : HelloResult::kNeedMore;
    if (next_ < end_ && next_[0] != kHandshakeRecord) return HelloResult::kOther;
    if (end_ - next_ >= 2 && next_[1] != 3) return HelloResult::kOther;
    if (static_cast<size_t>(end_ - next_) < kRecordHeader) return HelloResult::kNeedMore;
    left_ = static_cast<size_t>(next_[3]) << 8 | next_[4];
    if (left_ == 0 || left_ > kMaxRecord) return HelloResult::kMalformed;
    next_ += kRecordHeader;
    return next_ < end_ ? HelloResult::kGood : HelloResult::kNeedMore;
  }

  // As many bytes as are there, at most `size`, into `out` (nullptr: nowhere). `taken` says how many.
  HelloResult Take(size_t size, uint8_t* out, size_t* taken) {
    for (*taken = 0; *taken < size;) {
      HelloResult step = Step();
      if (step != HelloResult::kGood) return step;
      size_t n = size - *taken;
      if (n > left_) n = left_;
      if (n > static_cast<size_t>(end_ - next_)) n = static_cast<size_t>(end_ - next_);
      for (size_t i = 0; out != nullptr && i < n; ++i) out[*taken + i] = next_[i];
      next_ += n, left_ -= n, *taken += n;
    }
    return HelloResult::kGood;
  }

  bool AtRecordEnd() const { return left_ == 0; }

 private:
  const uint8_t* next_;
  const uint8_t* end_;
  size_t left_ = 0;  // of the record that next_ is in
};

// A part of the hello that has a length: nothing read in it goes beyond it. The bytes are known to be there.
class Part {
 public:
  Part(Handshake* in, size_t size) : in_(in), left_(size) {}

  size_t left() const { return left_; }
  bool Bytes(size_t size, uint8_t* out) {
    size_t taken;
    if (size > left_ || in_->Take(size, out, &taken) != HelloResult::kGood) return false;
    left_ -= size;
    return true;
  }
  bool Skip(size_t size) { return Bytes(size, nullptr); }
  bool Number(size_t bytes, size_t* value) {
    uint8_t raw[3];
    if (!Bytes(bytes, raw)) return false;
    *value = 0;
    for (size_t i = 0; i < bytes; ++i) *value = *value << 8 | raw[i];
    return true;
  }
  // A length and that many bytes, which are passed over.
  bool SkipList(size_t length_bytes, size_t least, size_t most) {
    size_t length;
    return Number(length_bytes, &length) && length >= least && length <= most && Skip(length);
  }

 private:
  Handshake* in_;
  size_t left_;
};

// One entry, of the one type there is (RFC 6066, 3): of two names a server may act on the other one.
bool ReadServerName(Part* part, Name* name) {
  size_t list, type, length;
  uint8_t text[255];
  if (!part->Number(2, &list) || list != part->left() || !part->Number(1, &type) || type != 0) return false;
  if (!part->Number(2, &length) || length != part->left() || length > sizeof(text)) return false;
  return part->Bytes(length, text) && ParseName(reinterpret_cast<const char*>(text), length, name);
}

bool ReadExtensions(Handshake* in, Part* hello, ClientHello* out) {
  size_t all, type, length;
  if (!hello->Number(2, &all) || all != hello->left()) return false;
  bool named = false;
  while (hello->left() > 0) {
    if (!hello->Number(2, &type) || !hello->Number(2, &length) || length > hello->left()) return false;
    if (type != kServerName) {
      if (type == kEncryptedClientHello) out->encrypted = true;
      if (!hello->Skip(length)) return false;
      continue;
    }
    Part extension(in, length);
    if (named || !ReadServerName(&extension, &out->name)) return false;
    named = true;
    *hello = Part(in, hello->left() - length);
  }
  return true;
}

bool ReadHello(Handshake* in, size_t size, ClientHello* out) {
  Part hello(in, size);
  size_t ciphers;
  if (!hello.Skip(2 + 32)) return false;  // legacy_version, random
  if (!hello.SkipList(1, 0, 32)) return false;
  if (!hello.Number(2, &ciphers) || ciphers < 2 || ciphers % 2 != 0 || !hello.Skip(ciphers)) return false;
  if (!hello.SkipList(1, 1, 255)) return false;  // compression methods
  return hello.left() == 0 || ReadExtensions(in, &hello, out);
}

HelloResult Parse(const uint8_t* bytes, size_t size, ClientHello* hello) {
  Handshake in(bytes, size);
  uint8_t header[kHandshakeHeader];
  size_t taken;
  HelloResult result = in.Take(sizeof(header), header, &taken);
  if (taken > 0 && header[0] != kClientHello) return HelloResult::kMalformed;
  // Another protocol shows in the first record; one that is strange after that is a broken hello.
  if (result == HelloResult::kOther && taken > 0) return HelloResult::kMalformed;
  if (result != HelloResult::kGood) return result;
  size_t length = static_cast<size_t>(header[1]) << 16 | static_cast<size_t>(header[2]) << 8 | header[3];
  if (length > kMaxFirstBytes) return HelloResult::kMalformed;
  Handshake body = in;
  result = in.Take(length, nullptr, &taken);
  if (result == HelloResult::kNeedMore) return result;
  // A hello ends with its record: what came in the same record would be read under other keys.
  if (result != HelloResult::kGood || !in.AtRecordEnd()) return HelloResult::kMalformed;
  return ReadHello(&body, length, hello) ? HelloResult::kGood : HelloResult::kMalformed;
}

}  // namespace

HelloResult ParseClientHello(const void* bytes, size_t size, ClientHello* hello) {
  *hello = ClientHello();
  HelloResult result = Parse(static_cast<const uint8_t*>(bytes), size < kMaxFirstBytes ? size : kMaxFirstBytes, hello);
  if (result == HelloResult::kNeedMore && size >= kMaxFirstBytes) result = HelloResult::kMalformed;
  if (result != HelloResult::kGood) *hello = ClientHello();
  return result;
}

}  // namespace qi
