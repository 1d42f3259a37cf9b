#include "cgroup/group_file.h"

#include <fcntl.h>

#include <cstring>

namespace qi {

int ReadGroupFile(int dir, const char* name, char* text, size_t size) {
  UniqueFd fd(openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return errno;
  size_t used = 0;
  for (;;) {
    ssize_t n = RetryEintr([&] { return read(fd.get(), text + used, size - 1 - used); });
    if (n < 0) return errno;
    used += static_cast<size_t>(n);
    text[used] = 0;
    if (n == 0) return 0;
    if (used == size - 1) return EFBIG;
  }
}

int WriteGroupFile(int dir, const char* name, const char* text) {
  UniqueFd fd(openat(dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return errno;
  // Each write is one command to the kernel, so it must not be cut into two.
  ssize_t n = RetryEintr([&] { return write(fd.get(), text, strlen(text)); });
  if (n < 0) return errno;
  return static_cast<size_t>(n) == strlen(text) ? 0 : EIO;
}

bool HasWord(const char* line, const char* word) {
  size_t length = strlen(word);
  for (const char* p = line; (p = strstr(p, word)) != nullptr; p += length) {
    bool begins = p == line || p[-1] == ' ' || p[-1] == '\n';
    char after = p[length];
    if (begins && (after == 0 || after == ' ' || after == '\n')) return true;
  }
  return false;
}

}  // namespace qi
