#include "core/path_pattern.h"

#include <initializer_list>
#include <string>
#include <vector>

#include "check.h"

namespace {

using qi::PatternOp;

uint32_t Word(PatternOp op, uint32_t operand = 0) { return static_cast<uint32_t>(op) << 24 | operand; }

const uint32_t kTree = Word(PatternOp::kTree), kStar = Word(PatternOp::kStar), kOne = Word(PatternOp::kOne),
               kNext = Word(PatternOp::kNextName);

std::vector<uint32_t> Text(const char* text) {
  std::vector<uint32_t> words;
  for (; *text != 0; ++text) words.push_back(Word(PatternOp::kCharacter, static_cast<uint8_t>(*text)));
  return words;
}

std::vector<uint32_t> Join(std::initializer_list<std::vector<uint32_t>> parts) {
  std::vector<uint32_t> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

qi::PatternProgram Program(const std::vector<uint32_t>& words) {
  return {reinterpret_cast<const uint8_t*>(words.data()), words.size() * sizeof(uint32_t)};
}

bool Matches(const std::vector<uint32_t>& words, const std::string& rest) {
  CHECK(qi::IsPattern(Program(words)));
  return qi::MatchesPattern(Program(words), rest.c_str());
}

bool SamePlaces(const std::vector<uint32_t>& words, const char* a, const char* b) {
  qi::PatternPlaces x = qi::PlacesAfter(Program(words), a), y = qi::PlacesAfter(Program(words), b);
  return memcmp(x.bits, y.bits, sizeof(x.bits)) == 0;
}

}  // namespace

TEST(ANameAnywhere) {
  std::vector<uint32_t> env = Join({{kTree}, Text(".env")});
  for (const char* yes : {".env", "a/.env", "a/b/c/.env", ".env/inside", "A/.ENV"}) CHECK(Matches(env, yes));
  for (const char* no : {"", "a", "x.env", ".envx", "a/x.env", ".en", "a.env/b"}) CHECK(!Matches(env, no));
}

TEST(StarsStayInsideOfAName) {
  std::vector<uint32_t> pem = Join({{kStar}, Text(".pem")});
  for (const char* yes : {".pem", "a.pem", "a.pem.pem", "x.pem/y"}) CHECK(Matches(pem, yes));
  for (const char* no : {"", "a/b.pem", "a.pe", "a.pemx"}) CHECK(!Matches(pem, no));
  CHECK(!Matches({kStar}, ""));  // the base itself
}

TEST(TreesStandForWholeNames) {
  std::vector<uint32_t> keys = Join({Text("src"), {kNext, kTree}, Text("keys"), {kNext, kStar}});
  for (const char* yes : {"src/keys/a", "src/a/keys/b", "src/a/b/keys/c/d"}) CHECK(Matches(keys, yes));
  for (const char* no : {"src/keys", "src/akeys/b", "srckeys/a", "keys/a", "src/a/keys"}) CHECK(!Matches(keys, no));
}

TEST(CharactersAreCodePoints) {
  std::vector<uint32_t> one = Join({Text("a"), {kOne}, Text("z")});
  CHECK(Matches(one, "a\xc3\xa9z"));
  CHECK(Matches(one, "a\xf0\x9f\x98\x80z"));
  CHECK(Matches(one, "a\xffz"));  // no UTF-8: a character all the same
  CHECK(Matches(one, "a\xe2z"));
  CHECK(!Matches(one, "a\xc3\xa9\xc3\xa9z"));
  CHECK(!Matches(one, "a/z"));
}

TEST(SetsTakeEitherCase) {
  std::vector<uint32_t> set = {Word(PatternOp::kSet, 2), 'a', 'c', '0', '9'};
  for (const char* yes : {"a", "B", "7"}) CHECK(Matches(set, yes));
  for (const char* no : {"d", "/", "ab"}) CHECK(!Matches(set, no));
  std::vector<uint32_t> others = {Word(PatternOp::kSet, qi::kSetNegated | 1), 'a', 'a'};
  for (const char* yes : {"A", "b"}) CHECK(Matches(others, yes));
  CHECK(!Matches(others, "a"));  // left out by name, whatever "A" is
}

TEST(WhereNamesWouldGoOn) {
  std::vector<uint32_t> env = Join({{kTree}, Text(".env")});
  CHECK(SamePlaces(env, "a", "b/c"));
  std::vector<uint32_t> keys = Join({Text("secrets"), {kNext, kStar}});
  CHECK(!SamePlaces(keys, "secrets", "other"));
  CHECK(!SamePlaces(keys, "", "secrets"));
  CHECK(SamePlaces(keys, "a", "b"));
}

TEST(WhatIsNoPattern) {
  CHECK(!qi::IsPattern(Program({})));
  CHECK(!qi::IsPattern(Program({kTree})));
  CHECK(!qi::IsPattern(Program({kStar, kNext})));
  CHECK(!qi::IsPattern(Program({Word(static_cast<PatternOp>(0))})));
  CHECK(!qi::IsPattern(Program({Word(static_cast<PatternOp>(7))})));
  CHECK(!qi::IsPattern(Program({Word(PatternOp::kSet, 1), 'a'})));
  CHECK(!qi::IsPattern(Program({Word(PatternOp::kSet, 0x7fffff), 'a', 'b'})));
  CHECK(!qi::IsPattern(Program({Word(PatternOp::kSet, 0)})));
  CHECK(!qi::IsPattern(Program({Word(PatternOp::kCharacter, '/')})));
  CHECK(!qi::IsPattern(Program(std::vector<uint32_t>(256, kStar))));
  CHECK(qi::IsPattern(Program(std::vector<uint32_t>(255, kStar))));
  uint8_t odd[] = {0, 0, 0, 3, 1};
  CHECK(!qi::IsPattern({odd, sizeof(odd)}));
}

CHECK_MAIN()
