#include "monitor/shared_memory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "monitor/jail.h"
#include "monitor/proc_lines.h"

namespace qi {
namespace {

constexpr uint32_t kApartEvery = 8;

// "major << 32 | minor", as /proc/PID/smaps tells it too.
uint64_t DeviceOf(uint32_t major, uint32_t minor) { return uint64_t{major} << 32 | minor; }

bool StatOf(int dir, const char* path, int flags, struct statx* st) {
  // What is known of it: a file of a network, or one that a program serves, may never answer.
  return uapi::Statx(dir, path, flags | AT_STATX_DONT_SYNC, STATX_INO | STATX_BLOCKS, st) == 0;
}

uint64_t TmpfsBytes(int root) {
  struct statfs fs;
  if (fstatfs(root, &fs) != 0 || fs.f_bsize <= 0) return 0;
  return (fs.f_blocks - fs.f_bfree) * static_cast<uint64_t>(fs.f_bsize);
}

// The last two columns are what is resident and what is swapped out. proc_sysvipc(5)
uint64_t SystemVBytes(int file) {
  if (file < 0 || lseek(file, 0, SEEK_SET) != 0) return 0;
  ProcLines lines(UniqueFd(fcntl(file, F_DUPFD_CLOEXEC, 0)));
  uint64_t sum = 0;
  while (const char* line = lines.Next()) {
    uint64_t resident, swapped;
    if (sscanf(line, " %*d %*d %*o %*u %*d %*d %*u %*u %*u %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &resident,
               &swapped) == 2)
      sum += resident + swapped;
  }
  return sum;
}

}  // namespace

bool SharedMemory::Open(int root, int system_v, int any_memfd, const ProcessTable& table, bool own_root) {
  root_ = root;
  system_v_ = system_v;
  struct statx st;
  if (!StatOf(root, "", AT_EMPTY_PATH, &st)) return false;
  own_root_ = own_root;
  root_device_ = DeviceOf(st.stx_dev_major, st.stx_dev_minor);
  if (!StatOf(any_memfd, "", AT_EMPTY_PATH, &st)) return false;
  memfd_device_ = DeviceOf(st.stx_dev_major, st.stx_dev_minor);
  hidden_.Open(table.proc(), any_memfd);
  return true;
}

bool SharedMemory::Counted(uint64_t device, uint64_t inode, bool system_v) const {
  if (own_root_ && device == root_device_) return true;
  if (device != memfd_device_) return false;
  if (system_v) return system_v_ >= 0;
  for (size_t i = 0; i < kPlaces; ++i) {
    const Place& place = places_[(inode + i) % kPlaces];
    if (place.inode == inode) return place.pass + 1 >= pass_;
    if (place.inode == 0) return false;
  }
  return false;
}

// False when this pass has had it.
bool SharedMemory::Add(uint64_t inode) {
  for (size_t i = 0; i < kPlaces; ++i) {
    Place& place = places_[(inode + i) % kPlaces];
    if (place.inode == inode && place.pass == pass_) return false;
    if (place.inode != inode && place.inode != 0 && place.pass + 1 >= pass_) continue;
    place = {inode, pass_};
    break;
  }
  return true;
}

void SharedMemory::Look(const ProcessTable& table, uint64_t until_ns) {
  tmpfs_ = own_root_ ? TmpfsBytes(root_) : 0;
  system_v_bytes_ = SystemVBytes(system_v_);
  for (;;) {
    pid_t next = 0;  // in order of their numbers, in which new ones come last
    for (size_t i = 0; i < table.count(); ++i) {
      if (table[i].pid >= pid_ && (next == 0 || table[i].pid < next)) next = table[i].pid;
    }
    if (next == 0) break;
    if (next != pid_) thread_ = descriptor_ = 0;
    pid_ = next;
    if (!LookAtProcess(table, until_ns)) return;
    ++pid_;
    thread_ = descriptor_ = 0;
  }
  passed_ = passing_;
  if (pass_ % kApartEvery == 0) apart_ = aparting_;
  passing_ = aparting_ = 0;
  pid_ = thread_ = descriptor_ = 0;
  ++pass_;
}

// Threads share one table of descriptors unless they were made not to (CLONE_FILES).
bool SharedMemory::LookAtProcess(const ProcessTable& table, uint64_t until_ns) {
  char path[64];
  snprintf(path, sizeof(path), "%d/fd", pid_);
  if (thread_ == 0 && !LookAtDescriptors(table.proc(), path, &passing_, until_ns)) return false;
  if (pass_ % kApartEvery != 0) return true;
  snprintf(path, sizeof(path), "%d/task", pid_);
  ProcNumbers threads(table.proc(), path);
  while (const char* name = threads.ok() ? threads.Next() : nullptr) {
    int thread = atoi(name);
    if (thread == pid_ || thread < thread_) continue;
    if (thread != thread_) descriptor_ = 0;
    thread_ = thread;
    snprintf(path, sizeof(path), "%d/fd", thread);
    if (!LookAtDescriptors(threads.fd(), path, &aparting_, until_ns)) return false;
  }
  return true;
}

bool SharedMemory::LookAtDescriptors(int dir, const char* path, uint64_t* sum, uint64_t until_ns) {
  ProcNumbers shown(dir, path);
  bool hides = !shown.ok() && errno == EACCES;
  char info[64];
  snprintf(info, sizeof(info), "%sinfo", path);
  ProcNumbers descriptors(dir, hides ? info : path);
  while (const char* name = descriptors.ok() ? descriptors.Next() : nullptr) {
    int number = atoi(name);
    if (number < descriptor_) continue;
    descriptor_ = number + 1;
    *sum += hides ? HiddenBytes(descriptors.fd(), name) : MemfdBytes(descriptors.fd(), name, 0);
    if (NowNs() > until_ns) return false;
  }
  descriptor_ = 0;
  return true;
}

// 0 of anything else, and of what this pass has had.
uint64_t SharedMemory::MemfdBytes(int dir, const char* path, int flags) {
  struct statx st;
  bool memfd =
      StatOf(dir, path, flags, &st) && DeviceOf(st.stx_dev_major, st.stx_dev_minor) == memfd_device_ && Add(st.stx_ino);
  return memfd ? st.stx_blocks * 512 : 0;
}

uint64_t SharedMemory::HiddenBytes(int dir, const char* number) {
  UniqueFd copy = hidden_.CopyOfMemfd(pid_, atoi(number), dir, number);
  return copy ? MemfdBytes(copy.get(), "", AT_EMPTY_PATH) : 0;
}

}  // namespace qi
