#include "monitor/name_patterns.h"

#include <strings.h>

#include <cstring>

#include "core/path_pattern.h"
#include "monitor/budget.h"
#include "monitor/change_call.h"

namespace qi {
namespace {

// Hundreds of long patterns and the longest of paths.
constexpr char kTooLong[] = "too long a path to compare with every pattern";

// What follows `base` in a path that lies in it, or is it; null for any other.
const char* Below(const char* path, const char* base) {
  if (base[1] == 0) return path[0] == '/' ? path + 1 : nullptr;
  if (!Within(path, base, strncasecmp)) return nullptr;
  const char* rest = path + strlen(base);
  return *rest == '/' ? rest + 1 : rest;
}

PatternProgram ProgramOf(const Jail& jail, const PathPattern& pattern) {
  Span<uint8_t> bytes = Bytes(jail.blob, pattern.program);
  return {bytes.data, bytes.size};
}

bool Leads(const Jail& jail, const PathPattern& pattern, const char* a, const char* b) {
  const char* base = jail.Text(pattern.base);
  const char *rest_a = Below(a, base), *rest_b = Below(b, base);
  // The base itself would become another folder.
  if (rest_a == nullptr && Below(base, a) != nullptr) return true;
  if (rest_b == nullptr && Below(base, b) != nullptr) return true;
  PatternProgram program = ProgramOf(jail, pattern);
  PatternPlaces places_a, places_b;
  if (rest_a != nullptr) places_a = PlacesAfter(program, rest_a);
  if (rest_b != nullptr) places_b = PlacesAfter(program, rest_b);
  return memcmp(places_a.bits, places_b.bits, sizeof(places_a.bits)) != 0;
}

}  // namespace

bool NamePatterns::IsMediated(const char* path) const {
  for (const PlanString& grant : List(jail_.blob, jail_.plan->mediated_grants)) {
    if (Within(path, jail_.Text(grant))) return true;
  }
  return false;
}

const char* NamePatterns::RuleAgainst(const char* path) const {
  if (!IsMediated(path)) return nullptr;
  Budget budget;
  for (const PathPattern& pattern : List(jail_.blob, jail_.plan->path_patterns)) {
    if (budget.IsSpent()) return kTooLong;
    const char* rest = Below(path, jail_.Text(pattern.base));
    if (rest != nullptr && MatchesPattern(ProgramOf(jail_, pattern), rest)) return jail_.Text(pattern.rule);
  }
  return nullptr;
}

const char* NamePatterns::RuleBetween(const char* from, const char* to) const {
  Budget budget;
  for (const PathPattern& pattern : List(jail_.blob, jail_.plan->path_patterns)) {
    if (budget.IsSpent()) return kTooLong;
    if (Leads(jail_, pattern, from, to)) return jail_.Text(pattern.rule);
  }
  return nullptr;
}

}  // namespace qi
