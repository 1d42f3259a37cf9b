// Any bytes as a pattern of names, and as a path. What is below a match matches, and equal places have equal futures.
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/path_pattern.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  size_t words = data[0] % 32;
  size_t length = words * 4 < size - 1 ? words * 4 : (size - 1) / 4 * 4;
  std::string program(reinterpret_cast<const char*>(data) + 1, length);
  std::string path(reinterpret_cast<const char*>(data) + 1 + length, size - 1 - length);
  path = path.c_str();
  qi::PatternProgram pattern = {reinterpret_cast<const uint8_t*>(program.data()), program.size()};
  if (!qi::IsPattern(pattern)) return 0;
  bool matches = qi::MatchesPattern(pattern, path.c_str());
  if (matches && !qi::MatchesPattern(pattern, (path + "/x").c_str())) abort();
  size_t slash = path.find('/');
  if (slash == std::string::npos || slash == 0) return 0;
  qi::PatternPlaces folder = qi::PlacesAfter(pattern, path.substr(0, slash).c_str());
  qi::PatternPlaces top = qi::PlacesAfter(pattern, "");
  if (memcmp(folder.bits, top.bits, sizeof(top.bits)) != 0) return 0;
  bool here = qi::MatchesPattern(pattern, path.substr(0, slash).c_str());
  std::string rest = path.substr(slash + 1);
  if (!here && rest[0] != 0 && rest[0] != '/' && matches != qi::MatchesPattern(pattern, rest.c_str())) abort();
  return 0;
}
