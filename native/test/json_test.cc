#include "monitor/json.h"

#include "check.h"

namespace {

std::string Quoted(const std::string& text) {
  static qi::JsonWriter json;
  json.Clear();
  json.String(text.data(), text.size());
  return std::string(json.data(), json.size());
}

const std::string kReplacement = "\xef\xbf\xbd";

}  // namespace

TEST(PlainTextStaysAsItIs) {
  CHECK_STREQ(Quoted(""), "\"\"");
  CHECK_STREQ(Quoted("a/b c"), "\"a/b c\"");
  for (const char* text :
       {"\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    CHECK_STREQ(Quoted(text), '"' + std::string(text) + '"');
  }
}

TEST(ControlCharactersAreEscaped) {
  for (int c = 0; c < 0x20; ++c) {
    char want[16];
    snprintf(want, sizeof(want), "\"\\u%04x\"", c);
    CHECK_STREQ(Quoted(std::string(1, static_cast<char>(c))), want);
  }
  CHECK_STREQ(Quoted("\x7f"), "\"\\u007f\"");
  CHECK_STREQ(Quoted("\"\\"), "\"\\u0022\\u005c\"");
}

TEST(InvalidUtf8BecomesTheReplacementCharacter) {
  const std::string bad[] = {"\x80",         "\xbf",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x80\x80",
                             "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                             "\xff",         "\xfe"};
  for (const std::string& bytes : bad) {
    std::string want;
    for (size_t i = 0; i < bytes.size(); ++i) want += kReplacement;
    CHECK_STREQ(Quoted(bytes), '"' + want + '"');
  }
}

TEST(SequencesThatAreCutAreNotCompletedByWhatFollows) {
  CHECK_STREQ(Quoted("\xe2\x82"), '"' + kReplacement + kReplacement + '"');
  CHECK_STREQ(Quoted("\xc3\""), '"' + kReplacement + "\\u0022\"");
  CHECK_STREQ(Quoted("\xf0\x9f\x98x"), '"' + kReplacement + kReplacement + kReplacement + "x\"");
}

TEST(ControlsOfATerminalAreEscaped) {
  CHECK_STREQ(Quoted("\x1b\x7f"), "\"\\u001b\\u007f\"");
  CHECK_STREQ(Quoted("\xc2\x80\xc2\x9f"), "\"\\u0080\\u009f\"");
  CHECK_STREQ(Quoted("\xc2\xa0"), "\"\xc2\xa0\"");
}

TEST(StructureAndNumbers) {
  static qi::JsonWriter json;
  json.Open('{');
  json.Pair("a", static_cast<int64_t>(-9223372036854775807 - 1));
  json.Key("b");
  json.Unsigned(18446744073709551615u);
  json.Key("c");
  json.Hex(~0ull);
  json.Key("d");
  json.Open('[');
  json.Bool(true);
  json.Open('{');
  json.Close('}');
  json.String("x");
  json.Close(']');
  json.Members("\"e\":1,\"f\":2");
  json.Members("");
  json.Pair("g", "h");
  json.Close('}');
  CHECK_STREQ(
      std::string(json.data(), json.size()),
      "{\"a\":-9223372036854775808,\"b\":18446744073709551615,\"c\":\"0xffffffffffffffff\",\"d\":[true,{},\"x\"],"
      "\"e\":1,\"f\":2,\"g\":\"h\"}");
}

TEST(OverflowIsSaidAndStaysInside) {
  static qi::JsonWriter json;
  json.Open('[');
  std::string text(1000, '\x01');  // six bytes each
  for (int i = 0; i < 100; ++i) json.String(text.data(), text.size());
  CHECK(json.overflow());
  CHECK_EQ(json.size(), 64 * 1024);
  json.Clear();
  CHECK(!json.overflow());
  CHECK_EQ(json.size(), 0);
}

CHECK_MAIN()
