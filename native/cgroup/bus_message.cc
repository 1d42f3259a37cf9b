#include "cgroup/bus_message.h"

#include <cstring>

namespace qi {
namespace {

constexpr uint8_t kLittleEndian = 'l';
constexpr uint8_t kVersion = 1;
constexpr size_t kBodyLengthAt = 4;
constexpr size_t kFieldsLengthAt = 12;

enum FieldCode : uint8_t {
  kPath = 1,
  kInterface = 2,
  kMember = 3,
  kErrorName = 4,
  kReplySerial = 5,
  kDestination = 6,
  kSender = 7,
  kSignature = 8
};

size_t Padded(size_t size, size_t to) { return (size + to - 1) / to * to; }

uint32_t Peek(const uint8_t* at) {
  return static_cast<uint32_t>(at[0]) | static_cast<uint32_t>(at[1]) << 8 | static_cast<uint32_t>(at[2]) << 16 |
         static_cast<uint32_t>(at[3]) << 24;
}

// Header fields have one complete type each, of which all that are specified are these; another is no message for us.
bool ReadField(BusReader* reader, BusMessage* message) {
  uint8_t code;
  const char* type;
  const char* text = "";
  uint32_t number = 0;
  if (!reader->Align(8) || !reader->Byte(&code) || !reader->Signature(&type)) return false;
  if (strcmp(type, "s") == 0 || strcmp(type, "o") == 0) {
    if (!reader->String(&text)) return false;
  } else if (strcmp(type, "g") == 0) {
    if (!reader->Signature(&text)) return false;
  } else if (strcmp(type, "u") != 0 || !reader->U32(&number)) {
    return false;
  }
  if (code == kPath) message->path = text;
  if (code == kInterface) message->interface = text;
  if (code == kMember) message->member = text;
  if (code == kErrorName) message->error_name = text;
  if (code == kReplySerial) message->reply_serial = number;
  if (code == kSender) message->sender = text;
  if (code == kSignature) message->signature = text;
  return true;
}

}  // namespace

BusWriter::BusWriter(const BusCall& call, uint32_t serial) {
  Byte(kLittleEndian);
  Byte(static_cast<uint8_t>(BusType::kCall));
  Byte(0);
  Byte(kVersion);
  U32(0);  // the body's length
  U32(serial);
  Array fields = BeginArray(8);
  Field(kPath, "o", call.path);
  Field(kInterface, "s", call.interface);
  Field(kMember, "s", call.member);
  Field(kDestination, "s", call.destination);
  if (call.signature[0] != 0) {
    Align(8);
    Byte(kSignature);
    Signature("g");
    Signature(call.signature);
  }
  EndArray(fields);
  Align(8);
  body_ = size_;
}

void BusWriter::Field(uint8_t code, const char* signature, const char* text) {
  Align(8);
  Byte(code);
  Signature(signature);
  String(text);
}

void BusWriter::Byte(uint8_t value) {
  if (size_ < sizeof(data_)) {
    data_[size_++] = value;
  } else {
    overflow_ = true;
  }
}

void BusWriter::Poke(size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) data_[at + i] = static_cast<uint8_t>(value >> (8 * i));
}

void BusWriter::U32(uint32_t value) {
  Align(4);
  for (size_t i = 0; i < 4; ++i) Byte(static_cast<uint8_t>(value >> (8 * i)));
}

void BusWriter::String(const char* text) {
  size_t length = strlen(text);
  U32(static_cast<uint32_t>(length));
  for (size_t i = 0; i <= length; ++i) Byte(static_cast<uint8_t>(text[i]));
}

void BusWriter::Signature(const char* text) {
  size_t length = strlen(text);  // ours, so never near the 255 that fit
  Byte(static_cast<uint8_t>(length));
  for (size_t i = 0; i <= length; ++i) Byte(static_cast<uint8_t>(text[i]));
}

void BusWriter::Align(size_t bytes) {
  while (size_ % bytes != 0 && !overflow_) Byte(0);
}

// The length counts the elements, not the padding before the first of them.
BusWriter::Array BusWriter::BeginArray(size_t element_alignment) {
  Align(4);
  Array array = {size_, 0};
  U32(0);
  Align(element_alignment);
  array.begin = size_;
  return array;
}

void BusWriter::EndArray(const Array& array) {
  if (!overflow_) Poke(array.length_at, static_cast<uint32_t>(size_ - array.begin));
}

bool BusWriter::Finish() {
  if (overflow_) return false;
  Poke(kBodyLengthAt, static_cast<uint32_t>(size_ - body_));
  return true;
}

bool BusReader::Byte(uint8_t* value) {
  if (at_ >= size_) return false;
  *value = data_[at_++];
  return true;
}

// Padding is zero. A position past the end is told by what is read next.
bool BusReader::Align(size_t bytes) {
  while (at_ % bytes != 0) {
    uint8_t zero;
    if (!Byte(&zero) || zero != 0) return false;
  }
  return true;
}

bool BusReader::U32(uint32_t* value) {
  if (!Align(4) || size_ - at_ < 4) return false;
  *value = Peek(data_ + at_);
  at_ += 4;
  return true;
}

bool BusReader::Text(size_t length, const char** text) {
  if (length >= size_ - at_) return false;  // with the NUL that follows
  const uint8_t* begin = data_ + at_;
  if (begin[length] != 0 || memchr(begin, 0, length) != nullptr) return false;
  *text = reinterpret_cast<const char*>(begin);
  at_ += length + 1;
  return true;
}

bool BusReader::String(const char** text) {
  uint32_t length;
  return U32(&length) && Text(length, text);
}

bool BusReader::Signature(const char** text) {
  uint8_t length;
  return Byte(&length) && Text(length, text);
}

size_t BusMessageSize(const uint8_t* head) {
  if (head[0] != kLittleEndian || head[3] != kVersion) return 0;
  size_t fields = Peek(head + kFieldsLengthAt);
  size_t body = Peek(head + kBodyLengthAt);
  if (fields > kBusMaxMessage || body > kBusMaxMessage) return 0;
  size_t size = kBusHeadSize + Padded(fields, 8) + body;
  return size <= kBusMaxMessage ? size : 0;
}

bool ParseBusMessage(const uint8_t* data, size_t size, BusMessage* message) {
  *message = {};
  if (size < kBusHeadSize || BusMessageSize(data) != size) return false;
  if (data[1] < 1 || data[1] > 4) return false;
  message->type = static_cast<BusType>(data[1]);
  size_t fields = Peek(data + kFieldsLengthAt);
  // The fields begin at a multiple of 8, so alignment within them is as within the message.
  BusReader reader(data + kBusHeadSize, fields);
  while (!reader.AtEnd()) {
    if (!ReadField(&reader, message)) return false;
  }
  size_t body = kBusHeadSize + Padded(fields, 8);
  message->body = data + body;
  message->body_size = size - body;
  return true;
}

}  // namespace qi
