// Patterns of names (`**/.env`), compiled by src/plan/pattern.ts. A set of places in the program is carried along the
// path, so the time is bounded by their product whatever both say. ASCII letters match in either case: on some file
// systems `.ENV` is `.env`. May run in: addon, monitor.
#pragma once
#include <cstddef>
#include <cstdint>

namespace qi {

// Words of 32 bits, little-endian: the kind in the upper 8 bits, the operand in the lower 24.
enum class PatternOp : uint8_t {
  kCharacter = 1,  // code point, in lower case
  kOne = 2,        // any one character
  kStar = 3,       // any number of characters of one name
  kSet = 4,        // operand: kSetNegated and the number of ranges; two words for each follow, from and to
  kNextName = 5,   // "/"
  kTree = 6,       // any number of whole names, each with its "/"
};
constexpr uint32_t kSetNegated = 1u << 23;

// Of a program, which has at most this many words.
constexpr size_t kPatternWords = 255;

struct PatternProgram {
  const uint8_t* bytes;
  size_t size;
};

// The places in a program that the names so far have led to.
struct PatternPlaces {
  uint64_t bits[4] = {};
};

// The code point that `*text` begins with, and on to the next; of bytes that are no UTF-8 a number above all of them.
uint32_t TakeCharacter(const char** text);

// Whether MatchesPattern and PlacesAfter may be given it.
bool IsPattern(const PatternProgram& program);

// `rest`: what follows the base of the pattern in a canonical path, without the first "/". What lies below a match
// belongs to it.
bool MatchesPattern(const PatternProgram& program, const char* rest);

// Where names below the folder `rest` ("": the base itself) would go on.
PatternPlaces PlacesAfter(const PatternProgram& program, const char* rest);

}  // namespace qi
