#include "monitor/process_table.h"

#include <fcntl.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/fd.h"
#include "monitor/descendants.h"
#include "monitor/kernel_text.h"

namespace qi {
namespace {

// Of the threads that have ended only the first stays listed: the next is a live one, or ends just now.
constexpr int kMaxLooks = 64;

char status[kStatusRoom];

ProcessMemory ReadStatusOf(int proc, const char* path) {
  return ReadAt(proc, path, status, sizeof(status)) ? ParseStatus(status) : ProcessMemory{};
}

// A first thread that has ended shows no memory while the others go on with it.
void AskOtherThreads(int proc, const char* pid, ProcessMemory* memory) {
  char path[64];
  snprintf(path, sizeof(path), "%s/task", pid);
  ProcNumbers threads(proc, path);
  const char* tid;
  for (int i = 0; i < kMaxLooks && !memory->has_memory && (tid = threads.Next()) != nullptr; ++i) {
    char file[64];
    snprintf(file, sizeof(file), "%s/status", tid);
    ProcessMemory of_thread = ReadStatusOf(threads.fd(), file);
    if (of_thread.has_memory) *memory = of_thread;
  }
}

void ReadPhraseOf(int proc, const char* pid, const char* name, char* out, size_t room) {
  char path[64];
  snprintf(path, sizeof(path), "%s/%s", pid, name);
  ReadPhrase(proc, path, out, room);
}

}  // namespace

ProcessTable::~ProcessTable() { delete processes_; }

bool ProcessTable::Open(int root, pid_t ancestor) {
  ancestor_ = ancestor;
  delete processes_;
  processes_ = new (std::nothrow) ProcNumbers(root, "proc");
  return ok();
}

// Pid 1, or who stands in for it, is none.
bool ProcessTable::IsOurs(const char* pid) const {
  return ancestor_ == 0 ? strcmp(pid, "1") != 0 : DescendsFrom(proc(), atoi(pid), ancestor_);
}

void ProcessTable::Read() {
  bytes_ = tasks_ = 0;
  count_ = 0;
  if (!ok()) return;
  processes_->Rewind();
  while (const char* pid = processes_->Next()) {
    if (!IsOurs(pid)) continue;
    char path[64];
    snprintf(path, sizeof(path), "%s/status", pid);
    ProcessMemory memory = ReadStatusOf(proc(), path);
    if (!memory.has_memory && memory.threads > 1) AskOtherThreads(proc(), pid, &memory);
    bytes_ += memory.bytes;
    tasks_ += memory.threads;
    if (memory.has_memory) Keep({static_cast<pid_t>(atoi(pid)), memory.bytes, memory.tables, memory.size});
  }
}

// In order: most jails have few processes, and those of a big one come mostly sorted from the look before.
void ProcessTable::Keep(const ProcessEntry& entry) {
  if (count_ == kMax && entry.bytes <= entries_[kMax - 1].bytes) return;
  size_t at = count_ < kMax ? count_++ : kMax - 1;
  for (; at > 0 && entries_[at - 1].bytes < entry.bytes; --at) entries_[at] = entries_[at - 1];
  entries_[at] = entry;
}

ProcessFacts ProcessTable::Facts(pid_t pid) const {
  ProcessFacts facts;
  facts.jail_pid = pid;
  char number[16];
  snprintf(number, sizeof(number), "%d", pid);
  ReadPhraseOf(proc(), number, "comm", facts.comm, sizeof(facts.comm));
  ReadPhraseOf(proc(), number, "cmdline", facts.command_line, sizeof(facts.command_line));
  char path[64];
  snprintf(path, sizeof(path), "%d/task", pid);
  // It is in the memory that a first thread which has ended no more has.
  ProcNumbers threads(proc(), path);
  for (int i = 0; i < kMaxLooks && facts.command_line[0] == 0; ++i) {
    const char* tid = threads.Next();
    if (tid == nullptr) break;
    ReadPhraseOf(threads.fd(), tid, "cmdline", facts.command_line, sizeof(facts.command_line));
  }
  return facts;
}

void ProcessTable::ReadTicks(uint64_t* user, uint64_t* system) {
  *user = *system = 0;
  if (!ok()) return;
  processes_->Rewind();
  while (const char* pid = processes_->Next()) {
    char path[64], text[1024];
    if (ancestor_ != 0 && atoi(pid) != ancestor_ && !IsOurs(pid)) continue;
    snprintf(path, sizeof(path), "%s/stat", pid);
    if (!ReadAt(proc(), path, text, sizeof(text))) continue;
    ProcessStat stat = ParseStat(text);
    *user += stat.user;
    *system += stat.system;
  }
}

}  // namespace qi
