// What a process takes when what it shares is divided among those who share it. Dear: the kernel walks all its pages.
// Runs in: monitor.
#pragma once
#include "monitor/process_table.h"
#include "monitor/shared_memory.h"

namespace qi {

// PSS, swapped out memory and page tables of one, without what `shared` has counted; or entry.bytes where the process
// does not show its mappings or they are not read by `until_ns` (of this thread's own time), which is at least as much;
// or 0, of one that has ended.
uint64_t ProportionalBytes(const ProcessTable& table, const ProcessEntry& entry, const SharedMemory& shared,
                           uint64_t until_ns);

// The one process whose memory this one may still have: its parent, unless it has exec'ed. Else 0.
pid_t MayBorrowFrom(const ProcessTable& table, pid_t pid);

// The process was made by vfork(2), by the other, and has not exec'ed yet: both show the same memory. A process can
// make it look so, for as long as it makes another wait.
bool BorrowsMemory(const ProcessTable& table, const ProcessEntry& child, const ProcessEntry& parent);

}  // namespace qi
