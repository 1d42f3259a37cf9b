#include "monitor/target.h"

#include <sys/uio.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/fd.h"
#include "core/uapi.h"
#include "monitor/kernel_text.h"

namespace qi {
namespace {

// One for all: qi-monitor has one thread. A caller's groups, thousands perhaps, come before much of what is asked for.
char status[kStatusRoom];

void ReadStatusText(pid_t tid) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/status", tid);
  (void)ReadAt(AT_FDCWD, path, status, sizeof(status));  // gone: an empty text
}

void ReadPhraseOf(pid_t tid, const char* name, char* out, size_t room) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
  ReadPhrase(AT_FDCWD, path, out, room);
}

const char* After(const char* name) {
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
    errno = EFAULT;  // of a part that could not be read the kernel says nothing
    size_t n = ReadMemory(tid, address + done, out + done, chunk);
    const void* end = memchr(out + done, 0, n);
    if (end != nullptr) return static_cast<const char*>(end) - out;
    done += n;
    if (n < chunk) break;
  }
  out[done < room ? done : room - 1] = 0;
  if (done < room) return -1;
  errno = ENAMETOOLONG;
  return -2;
}

ProcessFacts ReadStatus(pid_t tid) {
  ProcessFacts facts;
  facts.tid = tid;
  ReadStatusText(tid);
  facts.pid = atoi(After("\nTgid:\t"));
  facts.umask = static_cast<unsigned>(strtoul(After("\nUmask:\t"), nullptr, 8));
  // NStgid lists the thread group in each pid namespace, innermost last. proc_pid_status(5)
  const char* nested = After("\nNStgid:\t");
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
  ReadStatusText(tid);
  auto set = [&](const char* name) { return strtoull(After(name), nullptr, 16); };
  return ((set("\nSigPnd:\t") | set("\nShdPnd:\t")) & ~set("\nSigBlk:\t") & ~set("\nSigIgn:\t")) != 0;
}

ProcessFacts ReadFacts(pid_t tid) {
  ProcessFacts facts = ReadStatus(tid);
  ReadPhraseOf(tid, "comm", facts.comm, sizeof(facts.comm));
  ReadPhraseOf(tid, "cmdline", facts.command_line, sizeof(facts.command_line));
  return facts;
}

}  // namespace qi
