// The files of a cgroup: one short text each, written whole. Runs in: monitor, keeper.
#pragma once
#include <cstddef>
#include <cstring>

#include "core/fd.h"

namespace qi {

// Reads all of it, NUL-terminated. Returns 0 or an errno: EFBIG when `size` has no room for it.
int ReadGroupFile(int dir, const char* name, char* text, size_t size);

int WriteGroupFile(int dir, const char* name, const char* text);

// The end of the text after the last one.
inline char* NextLine(char* line) {
  size_t length = strcspn(line, "\n");
  return line + length + (line[length] != 0 ? 1 : 0);
}

// One of the words in a line of words, like those of cgroup.controllers.
bool HasWord(const char* line, const char* word);

}  // namespace qi
