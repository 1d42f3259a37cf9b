// D-Bus messages against bytes worked out by hand from the specification.
#include "cgroup/bus_message.h"

#include "check.h"
#include "fake_bus.h"

namespace {

using qi::BusMessage;
using qi::BusWriter;
using qi_check::BusBytes;

std::string Hex(const uint8_t* data, size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    char two[4];
    snprintf(two, sizeof(two), "%02x", data[i]);
    text += two;
  }
  return text;
}

std::string Bytes(const std::string& raw) { return Hex(reinterpret_cast<const uint8_t*>(raw.data()), raw.size()); }

bool Parses(const std::vector<uint8_t>& bytes) {
  // A copy of just this size: reading past it is seen by the sanitizer.
  std::vector<uint8_t> exact(bytes);
  exact.shrink_to_fit();
  BusMessage message;
  return qi::ParseBusMessage(exact.data(), exact.size(), &message);
}

std::vector<uint8_t> JobRemoved() {
  return BusBytes(4)
      .Text(1, 'o', "/org/freedesktop/systemd1")
      .Text(2, 's', "org.freedesktop.systemd1.Manager")
      .Text(3, 's', "JobRemoved")
      .Text(7, 's', ":1.2")
      .Text(8, 'g', "uoss")
      .Body()
      .U32(77)
      .String("/org/freedesktop/systemd1/job/77")
      .String("qi-jail-0123abcd.scope")
      .String("done")
      .Done();
}

}  // namespace

TEST(ACallIsWrittenAsSpecified) {
  BusWriter call({"d.D", "/p", "i.I", "Me", "su"}, 0x01020304);
  call.String("ab");
  call.U32(0x0a0b0c0d);
  REQUIRE(call.Finish());
  std::string z1(1, 0);
  // Fixed part: endianness, type, flags, version, length of the body (12), serial, length of the fields.
  std::string expected = std::string("l\x01\0\x01\x0c\0\0\0\x04\x03\x02\x01\x48\0\0\0", 16);
  expected += std::string("\x01\x01o\0\x02\0\0\0/p\0", 11) + std::string(5, 0);   // PATH, padded to 8
  expected += std::string("\x02\x01s\0\x03\0\0\0i.I\0", 12) + std::string(4, 0);  // INTERFACE
  expected += std::string("\x03\x01s\0\x02\0\0\0Me\0", 11) + std::string(5, 0);   // MEMBER
  expected += std::string("\x06\x01s\0\x03\0\0\0d.D\0", 12) + std::string(4, 0);  // DESTINATION
  expected += std::string("\x08\x01g\0\x02su\0", 8);                              // SIGNATURE
  expected += std::string("\x02\0\0\0ab\0", 7) + z1 + std::string("\x0d\x0c\x0b\x0a", 4);
  CHECK_STREQ(Hex(call.data(), call.size()), Bytes(expected));
}

TEST(AnArrayOfStructsWithVariantsIsWrittenAsSpecified) {
  BusWriter call({"d", "/", "i", "M", "a(sv)"}, 1);
  BusWriter empty({"d", "/", "i", "M", "a(sv)"}, 1);
  size_t head = empty.size();
  BusWriter::Array properties = call.BeginArray(8);
  call.Align(8);
  call.String("PIDs");
  call.Signature("au");
  BusWriter::Array pids = call.BeginArray(4);
  call.U32(7);
  call.EndArray(pids);
  call.Align(8);
  call.String("D");
  call.Signature("b");
  call.U32(1);
  call.EndArray(properties);
  BusWriter::Array none = call.BeginArray(8);
  call.EndArray(none);
  REQUIRE(call.Finish());
  std::string body("\x28\0\0\0\0\0\0\0", 8);  // 40 bytes of elements, after padding to 8
  body += std::string(
              "\x04\0\0\0PIDs\0\x02"
              "au\0",
              13) +
          std::string(3, 0) + std::string("\x04\0\0\0\x07\0\0\0", 8);  // 24 bytes: the next struct needs no padding
  body += std::string(
              "\x01\0\0\0D\0\x01"
              "b\0",
              9) +
          std::string(3, 0) + std::string("\x01\0\0\0", 4);
  body += std::string("\0\0\0\0\0\0\0\0", 4);  // an empty array still pads to its elements' alignment
  while ((head + body.size()) % 8 != 0) body.push_back(0);
  CHECK_STREQ(Hex(call.data() + head, call.size() - head), Bytes(body));
  CHECK_EQ(call.data()[4], body.size());
}

TEST(WhatDoesNotFitIsNotSent) {
  BusWriter call({"d", "/", "i", "M", "s"}, 1);
  call.String(std::string(4000, 'x').c_str());
  CHECK(!call.Finish());
}

TEST(ASignalIsReadAsSpecified) {
  std::vector<uint8_t> bytes = JobRemoved();
  CHECK_EQ(qi::BusMessageSize(bytes.data()), bytes.size());
  BusMessage message;
  REQUIRE(qi::ParseBusMessage(bytes.data(), bytes.size(), &message));
  CHECK_EQ(message.type, qi::BusType::kSignal);
  CHECK_STREQ(message.interface, "org.freedesktop.systemd1.Manager");
  CHECK_STREQ(message.member, "JobRemoved");
  CHECK_STREQ(message.sender, ":1.2");
  CHECK_STREQ(message.signature, "uoss");
  qi::BusReader body = message.Body();
  uint32_t id = 0;
  const char *job = "", *unit = "", *result = "";
  CHECK(body.U32(&id) && body.String(&job) && body.String(&unit) && body.String(&result) && body.AtEnd());
  CHECK_EQ(id, 77);
  CHECK_STREQ(job, "/org/freedesktop/systemd1/job/77");
  CHECK_STREQ(unit, "qi-jail-0123abcd.scope");
  CHECK_STREQ(result, "done");
  CHECK(!body.U32(&id));
}

TEST(AnErrorAndAReplyAreRead) {
  std::vector<uint8_t> bytes =
      BusBytes(3).Text(4, 's', "org.x.Error").Reply(9).Text(8, 'g', "s").Body().String("why").Done();
  BusMessage message;
  REQUIRE(qi::ParseBusMessage(bytes.data(), bytes.size(), &message));
  CHECK_EQ(message.reply_serial, 9);
  CHECK_STREQ(message.error_name, "org.x.Error");
  const char* text = "";
  qi::BusReader body = message.Body();
  CHECK(body.String(&text));
  CHECK_STREQ(text, "why");
}

TEST(LengthsThatLieAreRefused) {
  for (size_t at : {4u, 12u}) {
    std::vector<uint8_t> bytes = JobRemoved();
    for (uint32_t lie : {0xffffffffu, 0x80000000u, 0x10000u, uint32_t{bytes[at]} + 8, 3u}) {
      std::vector<uint8_t> other = bytes;
      for (size_t i = 0; i < 4; ++i) other[at + i] = static_cast<uint8_t>(lie >> (8 * i));
      CHECK(!Parses(other));
    }
  }
  CHECK(Parses(JobRemoved()));
}

TEST(NoCutMessageAndNoChangedByteReadsPastTheEnd) {
  std::vector<uint8_t> bytes = JobRemoved();
  for (size_t size = qi::kBusHeadSize; size < bytes.size(); ++size)
    CHECK(!Parses(std::vector<uint8_t>(bytes.begin(), bytes.begin() + static_cast<long>(size))));
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int value : {0, 1, 7, 0x7f, 0x80, 0xff}) {
      std::vector<uint8_t> other = bytes;
      other[at] = static_cast<uint8_t>(value);
      BusMessage message;
      if (!qi::ParseBusMessage(other.data(), other.size(), &message)) continue;
      // Whatever it now says, its texts end within it, and so do the values of the body.
      qi::BusReader body = message.Body();
      uint32_t id;
      const char* text;
      (void)(body.U32(&id) && body.String(&text) && body.String(&text) && body.String(&text));
      CHECK(strlen(message.member) < other.size());
    }
  }
}

TEST(OtherWireFormatsAreRefused) {
  std::vector<uint8_t> bytes = JobRemoved();
  for (auto [at, value] : {std::pair<size_t, uint8_t>{0, 'B'}, {0, 0}, {3, 2}, {1, 0}, {1, 5}}) {
    std::vector<uint8_t> other = bytes;
    other[at] = value;
    CHECK(!Parses(other));
  }
  // A header field of a type that no specified field has.
  CHECK(!Parses(BusBytes(4).Text(10, 'v', "x").Done()));
  // A NUL within a text.
  CHECK(!Parses(BusBytes(4).Text(3, 's', std::string("a\0b", 3)).Done()));
}

CHECK_MAIN()
