#include "monitor/target.h"

#include <sys/uio.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/fd.h"
#include "core/uapi.h"

namespace qi {
namespace {

size_t ReadProc(pid_t tid, const char* name, char* out, size_t room) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
  UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
  ssize_t n = fd ? RetryEintr([&] { return read(fd.get(), out, room - 1); }) : -1;
  size_t size = n > 0 ? static_cast<size_t>(n) : 0;
  out[size] = 0;
  return size;
}

const char* Field(const char* status, const char* name) {
  const char* at = strstr(status, name);
  return at != nullptr ? at + strlen(name) : "";
}

}  // namespace

size_t ReadMemory(pid_t tid, uint64_t address, void* out, size_t size) {
  constexpr uint64_t kPage = 4096;  // a multiple of no page size we meet is smaller
  size_t done = 0;
  while (done < size) {
    // One page at a time: process_vm_readv(2) copies whole iovecs or nothing of them.
    uint64_t at = address + done;
    size_t chunk = static_cast<size_t>(kPage - at % kPage);
    if (chunk > size - done) chunk = size - done;
    iovec local = {static_cast<char*>(out) + done, chunk};
    iovec remote = {reinterpret_cast<void*>(static_cast<uintptr_t>(at)), chunk};
    ssize_t n = process_vm_readv(tid, &local, 1, &remote, 1, 0);
    if (n <= 0) break;
    done += static_cast<size_t>(n);
    if (static_cast<size_t>(n) < chunk) break;
  }
  return done;
}

long ReadText(pid_t tid, uint64_t address, char* out, size_t room) {
  size_t done = 0;
  while (done < room) {
    size_t chunk = 256 - static_cast<size_t>((address + done) % 256);
    if (chunk > room - done) chunk = room - done;
    size_t n = ReadMemory(tid, address + done, out + done, chunk);
    const void* end = memchr(out + done, 0, n);
    if (end != nullptr) return static_cast<const char*>(end) - out;
    done += n;
    if (n < chunk) break;
  }
  out[done < room ? done : room - 1] = 0;
  return done < room ? -1 : -2;
}

ProcessFacts ReadStatus(pid_t tid) {
  ProcessFacts facts;
  facts.tid = tid;
  char status[2048];
  ReadProc(tid, "status", status, sizeof(status));
  facts.pid = atoi(Field(status, "\nTgid:\t"));
  facts.umask = static_cast<unsigned>(strtoul(Field(status, "\nUmask:\t"), nullptr, 8));
  // NStgid lists the thread group in each pid namespace, innermost last. proc_pid_status(5)
  const char* nested = Field(status, "\nNStgid:\t");
  const char* end = strchrnul(nested, '\n');
  while (end > nested && end[-1] != '\t') --end;
  facts.jail_pid = atoi(end);
  return facts;
}

UniqueFd Duplicate(pid_t tid, int fd) {
  constexpr unsigned kPidfdThread = O_EXCL;  // 6.9: a thread may have a descriptor table of its own
  UniqueFd pidfd(uapi::PidfdOpen(tid, kPidfdThread));
  if (!pidfd) pidfd.reset(uapi::PidfdOpen(ReadStatus(tid).pid, 0));
  return UniqueFd(pidfd ? uapi::PidfdGetfd(pidfd.get(), fd) : -1);
}

bool SignalWaits(pid_t tid) {
  char status[2048];
  ReadProc(tid, "status", status, sizeof(status));
  auto set = [&](const char* name) { return strtoull(Field(status, name), nullptr, 16); };
  return ((set("\nSigPnd:\t") | set("\nShdPnd:\t")) & ~set("\nSigBlk:\t") & ~set("\nSigIgn:\t")) != 0;
}

ProcessFacts ReadFacts(pid_t tid) {
  ProcessFacts facts = ReadStatus(tid);
  size_t n = ReadProc(tid, "comm", facts.comm, sizeof(facts.comm));
  if (n > 0 && facts.comm[n - 1] == '\n') facts.comm[n - 1] = 0;
  n = ReadProc(tid, "cmdline", facts.command_line, sizeof(facts.command_line));
  for (size_t i = 0; i + 1 < n; ++i) {
    if (facts.command_line[i] == 0) facts.command_line[i] = ' ';
  }
  return facts;
}

}  // namespace qi
