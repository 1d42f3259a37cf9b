#include "core/path_pattern.h"

#include <cstring>

namespace qi {
namespace {

constexpr uint32_t kNoCharacter = 0x110000;  // and above: bytes that are no UTF-8, each a character that no text has

struct Word {
  PatternOp op;
  uint32_t operand;
};

uint32_t Raw(const PatternProgram& program, size_t at) {
  uint32_t word;
  memcpy(&word, program.bytes + at * sizeof(word), sizeof(word));
  return word;
}

Word At(const PatternProgram& program, size_t at) {
  uint32_t raw = Raw(program, at);
  return {static_cast<PatternOp>(raw >> 24), raw & 0xffffff};
}

size_t WordsOf(const PatternProgram& program) { return program.size / sizeof(uint32_t); }

size_t SizeOf(const Word& word) { return word.op == PatternOp::kSet ? 1 + 2 * (word.operand & ~kSetNegated) : 1; }

bool Has(const PatternPlaces& places, size_t at) { return (places.bits[at / 64] >> (at % 64) & 1) != 0; }
void Add(PatternPlaces* places, size_t at) { places->bits[at / 64] |= 1ull << (at % 64); }

uint32_t Lower(uint32_t c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

bool InRanges(const PatternProgram& program, size_t at, uint32_t operand, uint32_t c) {
  for (size_t i = 0; i < (operand & ~kSetNegated); ++i) {
    if (c >= Raw(program, at + 1 + 2 * i) && c <= Raw(program, at + 2 + 2 * i)) return true;
  }
  return false;
}

// In either case of the letter, so that no way to write a name leads around what is denied; but `[!x]` leaves x out.
bool InSet(const PatternProgram& program, size_t at, uint32_t operand, uint32_t c) {
  if ((operand & kSetNegated) != 0) return !InRanges(program, at, operand, c);
  uint32_t lower = Lower(c);
  uint32_t upper = lower >= 'a' && lower <= 'z' ? lower - 32 : c;
  return InRanges(program, at, operand, lower) || InRanges(program, at, operand, upper);
}

// A star may stand for nothing; a tree ends where a name begins. Both lead forward only, so one pass does.
void Spread(const PatternProgram& program, bool name_begins, PatternPlaces* places) {
  for (size_t at = 0; at < WordsOf(program); ++at) {
    if (!Has(*places, at)) continue;
    PatternOp op = At(program, at).op;
    if (op == PatternOp::kStar || (op == PatternOp::kTree && name_begins)) Add(places, at + 1);
  }
}

PatternPlaces Start(const PatternProgram& program) {
  PatternPlaces places;
  Add(&places, 0);
  Spread(program, true, &places);
  return places;
}

PatternPlaces Step(const PatternProgram& program, const PatternPlaces& places, uint32_t c) {
  PatternPlaces next;
  for (size_t at = 0; at < WordsOf(program); ++at) {
    if (!Has(places, at)) continue;
    Word word = At(program, at);
    bool in_name = c != '/';
    switch (word.op) {
      case PatternOp::kCharacter:
        if (Lower(c) == word.operand) Add(&next, at + 1);
        break;
      case PatternOp::kOne:
        if (in_name) Add(&next, at + 1);
        break;
      case PatternOp::kStar:
        if (in_name) Add(&next, at);
        break;
      case PatternOp::kSet:
        if (in_name && InSet(program, at, word.operand, c)) Add(&next, at + SizeOf(word));
        break;
      case PatternOp::kNextName:
        if (!in_name) Add(&next, at + 1);
        break;
      case PatternOp::kTree:
        Add(&next, at);
        break;
    }
  }
  Spread(program, c == '/', &next);
  return next;
}

}  // namespace

uint32_t TakeCharacter(const char** text) {
  const auto* p = reinterpret_cast<const uint8_t*>(*text);
  size_t more = p[0] < 0x80 ? 0 : p[0] >= 0xc2 && p[0] < 0xe0 ? 1 : (p[0] & 0xf0) == 0xe0 ? 2 : p[0] < 0xf5 ? 3 : 4;
  static constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  uint32_t point = more == 0 ? p[0] : p[0] & (0x3fu >> more);
  bool good = more < 4 && (p[0] < 0x80 || p[0] >= 0xc2);
  for (size_t i = 1; good && i <= more; ++i) {
    good = (p[i] & 0xc0) == 0x80;
    point = point << 6 | (p[i] & 0x3f);
  }
  good = good && point >= kLeast[more] && point < kNoCharacter && (point < 0xd800 || point > 0xdfff);
  *text += good ? more + 1 : 1;
  return good ? point : kNoCharacter + p[0];
}

bool IsPattern(const PatternProgram& program) {
  size_t words = WordsOf(program);
  if (program.size % sizeof(uint32_t) != 0 || words == 0 || words > kPatternWords) return false;
  PatternOp last = PatternOp::kTree;
  for (size_t at = 0; at < words; at += SizeOf(At(program, at))) {
    Word word = At(program, at);
    last = word.op;
    if (word.op < PatternOp::kCharacter || word.op > PatternOp::kTree) return false;
    if (SizeOf(word) > words - at || (word.op == PatternOp::kSet && SizeOf(word) == 1)) return false;
    if (word.op == PatternOp::kCharacter && (word.operand == '/' || word.operand == 0)) return false;
  }
  // Else it would match a folder on the way, and with it everything.
  return last != PatternOp::kTree && last != PatternOp::kNextName;
}

bool MatchesPattern(const PatternProgram& program, const char* rest) {
  if (*rest == 0) return false;  // the base: a pattern has a name at least
  PatternPlaces places = Start(program);
  size_t end = WordsOf(program);
  while (*rest != 0) {
    uint32_t c = TakeCharacter(&rest);
    if (c == '/' && Has(places, end)) return true;
    places = Step(program, places, c);
  }
  return Has(places, end);
}

PatternPlaces PlacesAfter(const PatternProgram& program, const char* rest) {
  PatternPlaces places = Start(program);
  if (*rest == 0) return places;
  while (*rest != 0) places = Step(program, places, TakeCharacter(&rest));
  return Step(program, places, '/');
}

}  // namespace qi
