// The small texts in which the kernel tells figures: cgroup files, /proc/PID/status, smaps. Where a program could have
// put its own words in one (its name), only what follows a line break is believed. Runs in: monitor.
#pragma once
#include <cstddef>
#include <cstdint>

namespace qi {

// Reads an open file from its start. False, and an empty text, when it is not open or says nothing.
bool ReadAgain(int fd, char* text, size_t room);

// Reads `path` below `dir` in one go.
bool ReadAt(int dir, const char* path, char* text, size_t room);

// The same for what is shown to people, comm and cmdline: without the last line break, arguments joined by spaces, cut.
void ReadPhrase(int dir, const char* path, char* out, size_t room);

// The number after `key` and a space or tab, in the line that begins with it. False when there is none.
bool Field(const char* text, const char* key, uint64_t* value);

// One number; false for "max" and for nothing.
bool Number(const char* text, uint64_t* value);

// Sums `key`=N over all devices of io.stat.
uint64_t SumOfDevices(const char* io_stat, const char* key);

// Percent of the last ten seconds, in hundredths. PSI.
struct Pressure {
  uint64_t some10 = 0;
  uint64_t full10 = 0;
  bool has_full = false;
};
bool ParsePressure(const char* text, Pressure* pressure);

// Room for a status with as many supplementary groups as there can be (65536): a plain caller's are the payload's, and
// come before the figures.
constexpr size_t kStatusRoom = 1 << 20;

// Of a process, or of a thread of it, from its status. proc_pid_status(5)
struct ProcessMemory {
  uint64_t bytes = 0;   // resident, swapped out, and page tables
  uint64_t tables = 0;  // page tables, which are not resident memory to the kernel
  uint64_t size = 0;    // address space: tells those apart that cannot be one and the same
  uint32_t threads = 0;
  bool has_memory = false;  // false once it has ended, which the first thread may while others go on
};
ProcessMemory ParseStatus(const char* text);

// A process's or thread's stat; ticks of processor time with those of the children it has waited for. proc_pid_stat(5)
struct ProcessStat {
  char state = 0;
  int parent = 0;
  bool forked = false;  // and has not exec'ed since
  bool exiting = false;
  uint64_t user = 0;
  uint64_t system = 0;
};
ProcessStat ParseStat(const char* text);

// The head of a mapping in /proc/PID/smaps.
struct MappingHead {
  uint64_t device;  // major << 32 | minor
  uint64_t inode;
  bool system_v;
};
bool ParseMappingHead(const char* line, MappingHead* head);

}  // namespace qi
