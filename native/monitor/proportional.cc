#include "monitor/proportional.h"

#include <cstdio>

#include "monitor/jail.h"
#include "monitor/kernel_text.h"
#include "monitor/proc_lines.h"

namespace qi {
namespace {

// Less than this counted twice is not worth the longer text, one paragraph a mapping.
constexpr uint64_t kWorthTelling = 1 << 20;

// "Pss:        123 kB"
uint64_t KilobytesAfter(const char* line, const char* key) {
  uint64_t value;
  return Field(line, key, &value) ? value * 1024 : 0;
}

ProcessStat StatOf(int proc, const char* path) {
  char text[1024];
  return ReadAt(proc, path, text, sizeof(text)) ? ParseStat(text) : ProcessStat{};
}

// A thread that waits for the child of its vfork cannot be interrupted but by its end.
bool SomeThreadWaits(int proc, pid_t pid) {
  constexpr int kMaxLooks = 256;
  char path[64];
  snprintf(path, sizeof(path), "%d/task", pid);
  ProcNumbers threads(proc, path);
  const char* tid;
  for (int i = 0; i < kMaxLooks && threads.ok() && (tid = threads.Next()) != nullptr; ++i) {
    char file[64];
    snprintf(file, sizeof(file), "%s/stat", tid);
    if (StatOf(threads.fd(), file).state == 'D') return true;
  }
  return false;
}

// Ended since it was seen; not only its first thread.
bool IsGone(int proc, pid_t pid) {
  static char text[kStatusRoom];
  char path[64];
  snprintf(path, sizeof(path), "%d/status", pid);
  if (!ReadAt(proc, path, text, sizeof(text))) return true;
  ProcessMemory memory = ParseStatus(text);
  return !memory.has_memory && memory.threads <= 1;
}

}  // namespace

uint64_t ProportionalBytes(const ProcessTable& table, const ProcessEntry& entry, const SharedMemory& shared,
                           uint64_t until_ns) {
  char path[64];
  snprintf(path, sizeof(path), "%d/%s", entry.pid, shared.bytes() > kWorthTelling ? "smaps" : "smaps_rollup");
  ProcLines lines(table.proc(), path);
  uint64_t sum = 0;
  bool any = false, counted = false;
  for (unsigned i = 0; const char* line = lines.ok() ? lines.Next() : nullptr; ++i) {
    MappingHead head;
    if (line[0] == 'P' && !counted) sum += KilobytesAfter(line, "Pss:");
    if (line[0] == 'S' && !counted) sum += KilobytesAfter(line, "SwapPss:");
    if ((line[0] >= '0' && line[0] <= '9') || (line[0] >= 'a' && line[0] <= 'f')) {
      any = true;
      counted = ParseMappingHead(line, &head) && shared.Counted(head.device, head.inode, head.system_v);
    }
    if (i % 64 == 0 && NowNs(CLOCK_THREAD_CPUTIME_ID) > until_ns) return entry.bytes;
  }
  if (!any && IsGone(table.proc(), entry.pid)) return 0;
  sum += entry.tables;
  return any && sum < entry.bytes ? sum : entry.bytes;
}

pid_t MayBorrowFrom(const ProcessTable& table, pid_t pid) {
  char path[64];
  snprintf(path, sizeof(path), "%d/stat", pid);
  ProcessStat stat = StatOf(table.proc(), path);
  return stat.forked ? stat.parent : 0;
}

bool BorrowsMemory(const ProcessTable& table, const ProcessEntry& child, const ProcessEntry& parent) {
  if (child.size != parent.size) return false;
  char path[64];
  snprintf(path, sizeof(path), "%d/stat", child.pid);
  ProcessStat stat = StatOf(table.proc(), path);
  // On its way out it lets the other go on before it lets go of the memory.
  return stat.forked && stat.parent == parent.pid && (stat.exiting || SomeThreadWaits(table.proc(), parent.pid));
}

}  // namespace qi
