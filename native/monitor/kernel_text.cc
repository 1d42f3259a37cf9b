#include "monitor/kernel_text.h"

#include <fcntl.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/fd.h"

namespace qi {

bool ReadAgain(int fd, char* text, size_t room) {
  ssize_t n = fd >= 0 ? RetryEintr([&] { return pread(fd, text, room - 1, 0); }) : -1;
  text[n > 0 ? n : 0] = 0;
  return n > 0;
}

bool ReadAt(int dir, const char* path, char* text, size_t room) {
  UniqueFd fd(openat(dir, path, O_RDONLY | O_CLOEXEC));
  ssize_t n = fd ? RetryEintr([&] { return read(fd.get(), text, room - 1); }) : -1;
  text[n > 0 ? n : 0] = 0;
  return n > 0;
}

void ReadPhrase(int dir, const char* path, char* out, size_t room) {
  UniqueFd fd(openat(dir, path, O_RDONLY | O_CLOEXEC));
  ssize_t n = fd ? RetryEintr([&] { return read(fd.get(), out, room - 1); }) : 0;
  size_t size = n > 0 ? static_cast<size_t>(n) : 0;
  out[size] = 0;
  if (size > 0 && out[size - 1] == '\n') out[size - 1] = 0;
  for (size_t i = 0; i + 1 < size; ++i) {
    if (out[i] == 0) out[i] = ' ';  // between arguments
  }
}

bool Field(const char* text, const char* key, uint64_t* value) {
  size_t length = strlen(key);
  for (const char* line = text; line != nullptr && *line != 0;) {
    if (strncmp(line, key, length) == 0 && (line[length] == ' ' || line[length] == '\t'))
      return Number(line + length, value);
    line = strchr(line, '\n');
    if (line != nullptr) ++line;
  }
  return false;
}

bool Number(const char* text, uint64_t* value) {
  text += strspn(text, " \t");
  if (*text < '0' || *text > '9') return false;
  *value = strtoull(text, nullptr, 10);
  return true;
}

uint64_t SumOfDevices(const char* io_stat, const char* key) {
  uint64_t sum = 0;
  size_t length = strlen(key);
  for (const char* p = io_stat; (p = strstr(p, key)) != nullptr; p += length) {
    uint64_t value;
    if (p > io_stat && p[-1] == ' ' && p[length] == '=' && Number(p + length + 1, &value)) sum += value;
  }
  return sum;
}

bool ParsePressure(const char* text, Pressure* pressure) {
  auto share = [text](const char* format, uint64_t* hundredths) {
    const char* line = strstr(text, format);
    unsigned whole, part;
    if (line == nullptr || sscanf(line + strlen(format), " avg10=%u.%2u", &whole, &part) != 2) return false;
    *hundredths = uint64_t{whole} * 100 + part;
    return true;
  };
  pressure->has_full = share("full", &pressure->full10);  // cpu has none before 5.13
  return share("some", &pressure->some10);
}

ProcessMemory ParseStatus(const char* text) {
  ProcessMemory memory;
  // The first line is the name. Its line breaks are escaped, but that is the kernel's word of today.
  const char* rest = strchr(text, '\n');
  if (rest == nullptr) return memory;
  uint64_t rss = 0, swap = 0, tables = 0, size = 0, threads = 0;
  memory.has_memory = Field(rest, "VmRSS:", &rss);
  (void)Field(rest, "VmSwap:", &swap);  // absent: none
  (void)Field(rest, "VmPTE:", &tables);
  (void)Field(rest, "VmSize:", &size);
  (void)Field(rest, "Threads:", &threads);
  memory.bytes = (rss + swap + tables) * 1024;
  memory.tables = tables * 1024;
  memory.size = size;
  memory.threads = static_cast<uint32_t>(threads);
  return memory;
}

ProcessStat ParseStat(const char* text) {
  constexpr unsigned kExiting = 0x4, kForkedNoExec = 0x40;  // PF_*, include/linux/sched.h
  ProcessStat stat;
  // The name may hold spaces and brackets; nothing after it does.
  const char* end = strrchr(text, ')');
  if (end == nullptr) return stat;
  unsigned flags = 0;
  uint64_t user = 0, system = 0, waited_user = 0, waited_system = 0;
  if (sscanf(end + 1, " %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
             &stat.state, &stat.parent, &flags, &user, &system, &waited_user, &waited_system) != 7)
    return stat;
  stat.forked = (flags & kForkedNoExec) != 0;
  stat.exiting = (flags & kExiting) != 0;
  stat.user = user + waited_user;
  stat.system = system + waited_system;
  return stat;
}

bool ParseMappingHead(const char* line, MappingHead* head) {
  uint64_t major, minor;
  int path = 0;
  if (sscanf(line, "%*x-%*x %*4s %*x %" SCNx64 ":%" SCNx64 " %" SCNu64 " %n", &major, &minor, &head->inode, &path) != 3)
    return false;
  head->device = major << 32 | minor;
  // A program can name a memfd, but that name comes after "/memfd:".
  head->system_v = path > 0 && strncmp(line + path, "/SYSV", 5) == 0;
  return true;
}

}  // namespace qi
