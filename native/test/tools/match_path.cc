// Test tool: reads lines `PROGRAM PATH` in hexadecimal, a pattern (core/path_pattern.h) and what follows its base, and
// prints for each 1 for a match, 0 for none, or `-` for what is no pattern.
#include <cstdio>
#include <iostream>
#include <string>

#include "core/path_pattern.h"

namespace {

std::string Bytes(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    size_t space = line.find(' ');
    std::string program = Bytes(line.substr(0, space)), path = Bytes(line.substr(space + 1));
    qi::PatternProgram pattern = {reinterpret_cast<const uint8_t*>(program.data()), program.size()};
    (void)puts(!qi::IsPattern(pattern) ? "-" : qi::MatchesPattern(pattern, path.c_str()) ? "1" : "0");
  }
}
