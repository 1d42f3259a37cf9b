#include "monitor/hidden_descriptors.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/uapi.h"
#include "monitor/jail.h"
#include "monitor/kernel_text.h"
#include "monitor/proc_numbers.h"

namespace qi {
namespace {

bool MountOf(int dir, const char* path, uint64_t* mount) {
  char text[1024];
  return ReadAt(dir, path, text, sizeof(text)) && Field(text, "mnt_id:", mount);
}

// The number of a pid namespace, by one of its processes; 0: not told.
uint64_t PidNamespace(int proc, const char* pid) {
  char path[64];
  snprintf(path, sizeof(path), "%s/ns/pid", pid);
  struct stat st;
  return fstatat(proc, path, &st, 0) == 0 ? st.st_ino : 0;
}

// "NSpid:\t5123\t7": the last is the process's own namespace's number for it.
pid_t InnermostPid(int proc, const char* pid) {
  static char status[kStatusRoom];
  char path[64];
  snprintf(path, sizeof(path), "%s/status", pid);
  if (!ReadAt(proc, path, status, sizeof(status))) return 0;
  const char* line = strstr(status, "\nNSpid:\t");
  if (line == nullptr) return 0;
  const char* end = strchrnul(line + 1, '\n');
  while (end > line && end[-1] != '\t') --end;
  return atoi(end);
}

}  // namespace

void HiddenDescriptors::Open(int jail_proc, int any_memfd) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", any_memfd);
  jail_proc_ = jail_proc;
  // Before Linux 5.14 an undumpable process, as qi-monitor is one, may not even read its own: then nor may it others'.
  if (!MountOf(AT_FDCWD, path, &memfd_mount_)) memfd_mount_ = kNoMount;
}

size_t HiddenDescriptors::Find(pid_t pid) const {
  for (size_t i = 0; i < count_; ++i) {
    if (known_[i].inside == pid) return i;
  }
  return kNone;
}

// All of the host's processes: dear, so for all of the jail's at once, and seldom.
void HiddenDescriptors::ScanHost(pid_t sought) {
  count_ = 0;
  scanned_ns_ = NowNs();
  char inside[16];
  snprintf(inside, sizeof(inside), "%d", sought);
  // Not pid 1's: that one is hidden from us too.
  uint64_t jail = PidNamespace(jail_proc_, inside);
  if (jail == 0) return;
  ProcNumbers processes(AT_FDCWD, "/proc");
  while (const char* pid = processes.Next()) {
    if (count_ == kMax) return;
    if (PidNamespace(processes.fd(), pid) != jail) continue;
    known_[count_++] = {InnermostPid(processes.fd(), pid), static_cast<pid_t>(atoi(pid))};
  }
}

pid_t HiddenDescriptors::OutsidePid(pid_t pid) {
  // The second: a program that forks often enough gets its numbers back, which then are other processes' outside.
  constexpr uint64_t kSeldomNs = 500000000, kStaleNs = 5000000000;
  size_t at = Find(pid);
  if (scanned_ns_ == 0 || NowNs() - scanned_ns_ >= (at == kNone ? kSeldomNs : kStaleNs)) {
    ScanHost(pid);
    at = Find(pid);
  }
  return at != kNone ? known_[at].outside : 0;
}

UniqueFd HiddenDescriptors::CopyOfMemfd(pid_t pid, int number, int dir, const char* path) {
  uint64_t mount;
  if (!MountOf(dir, path, &mount) || mount != memfd_mount_) return UniqueFd();
  pid_t outside = OutsidePid(pid);
  UniqueFd process(outside > 0 ? uapi::PidfdOpen(outside, 0) : -1);
  return UniqueFd(process ? uapi::PidfdGetfd(process.get(), number) : -1);
}

}  // namespace qi
