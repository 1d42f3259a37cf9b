// Too much memory, by every way that a process has of its own accord. The bound is in bytes.
#pragma once
#include <fcntl.h>
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "hog_report.h"

namespace hog {

constexpr size_t kPiece = 1 << 20;

// Not zeros: those could be one page for all.
inline void Touch(void* memory, size_t size) {
  for (size_t at = 0; at < size; at += 4096) memset(static_cast<char*>(memory) + at, 0x5a, 64);
}

inline int Heap() {
  return TakeUntilRefused(kPiece, kPiece, [] {
    void* piece = malloc(kPiece);
    if (piece == nullptr) return ENOMEM;
    Touch(piece, kPiece);
    return 0;
  });
}

inline int Map(int flags, int fd = -1, off_t at = 0) {
  void* piece = mmap(nullptr, kPiece, PROT_READ | PROT_WRITE, flags, fd, at);
  if (piece == MAP_FAILED) return errno;
  Touch(piece, kPiece);
  return 0;
}

inline int Anonymous() {
  return TakeUntilRefused(kPiece, kPiece, [] { return Map(MAP_PRIVATE | MAP_ANONYMOUS); });
}
inline int SharedAnonymous() {
  return TakeUntilRefused(kPiece, kPiece, [] { return Map(MAP_SHARED | MAP_ANONYMOUS); });
}

// Children with a share each: no process has much.
inline int Family() {
  return TakeUntilRefused(kPiece * 8, kPiece * 8, [] {
    int ready[2];
    if (pipe(ready) != 0) return errno;
    pid_t child = fork();
    if (child < 0) return errno;
    if (child == 0) {
      for (int i = 0; i < 8; ++i) (void)Map(MAP_PRIVATE | MAP_ANONYMOUS);
      (void)!write(ready[1], "x", 1);
      HoldUntilLate();
    }
    (void)close(ready[1]);
    char byte;
    int error = read(ready[0], &byte, 1) == 1 ? 0 : ECHILD;
    (void)close(ready[0]);
    return error;
  });
}

inline int WritePiece(int fd) {
  static char piece[kPiece];
  memset(piece, 0x5a, sizeof(piece));
  for (size_t done = 0; done < sizeof(piece);) {
    ssize_t n = write(fd, piece + done, sizeof(piece) - done);
    if (n < 0 && errno != EINTR) return errno;
    if (n > 0) done += static_cast<size_t>(n);
  }
  return 0;
}

// Written, never mapped: no process's resident set has it.
inline int Memfd() {
  static int fd = static_cast<int>(memfd_create("hog", MFD_CLOEXEC));
  return fd < 0 ? Finish(0, errno) : TakeUntilRefused(kPiece, kPiece, [] { return WritePiece(fd); });
}

// Many, each given away in a message that nobody takes: no descriptor table has them either.
inline int HiddenMemfds() {
  static int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return Finish(0, errno);
  return TakeUntilRefused(kPiece, kPiece, [] {
    int fd = static_cast<int>(memfd_create("hog", MFD_CLOEXEC));
    if (fd < 0) return errno;
    int error = WritePiece(fd);
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    char byte = 'x';
    iovec data = {&byte, 1};
    msghdr message = {};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    if (error == 0 && sendmsg(pair[0], &message, MSG_DONTWAIT) < 0) error = errno;
    (void)close(fd);
    return error;
  });
}

// A file of a memory file system: `word` is the path, removed at once.
inline int File() {
  static int fd = open(request.word, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Finish(0, errno);
  (void)unlink(request.word);
  return TakeUntilRefused(kPiece, kPiece, [] { return WritePiece(fd); });
}

inline int PosixShm() {
  static char name[40];
  snprintf(name, sizeof(name), "/hog-%d", getpid());
  static int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (fd < 0) return Finish(0, errno);
  (void)shm_unlink(name);
  return TakeUntilRefused(kPiece, kPiece, [] { return WritePiece(fd); });
}

// Attached, touched, detached: nobody has it mapped.
inline int SysvShm() {
  return TakeUntilRefused(kPiece * 8, kPiece * 8, [] {
    int id = shmget(IPC_PRIVATE, kPiece * 8, IPC_CREAT | 0600);
    if (id < 0) return errno;
    void* piece = shmat(id, nullptr, 0);
    if (piece == reinterpret_cast<void*>(-1)) return errno;
    Touch(piece, kPiece * 8);
    if (!request.hold)
      (void)shmctl(id, IPC_RMID, nullptr);  // bare, nothing must stay; it does while attached
    else
      (void)shmdt(piece);
    return 0;
  });
}

inline int Pipes() {
  return TakeUntilRefused(65536, kMiB, [] {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return errno;
    static char piece[65536];
    ssize_t n = write(ends[1], piece, sizeof(piece));
    return n == static_cast<ssize_t>(sizeof(piece)) ? 0 : n < 0 ? errno : EAGAIN;
  });
}

inline int SocketBuffers() {
  return TakeUntilRefused(65536, kMiB, [] {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) return errno;
    static char piece[65536];
    ssize_t n = write(ends[0], piece, sizeof(piece));
    return n == static_cast<ssize_t>(sizeof(piece)) ? 0 : n < 0 ? errno : EAGAIN;
  });
}

// As fast as it goes: `word` threads, each taking pieces; populated by the kernel in one call, or touched.
inline int Race(int flags, size_t size) {
  static std::atomic<uint64_t> asked, amount;
  static std::atomic<int> error;
  static int how;
  static size_t piece;
  how = flags;
  piece = size;
  auto take = [](void*) -> void* {
    while (error == 0 && (asked += piece) <= request.bound) {
      void* memory = mmap(nullptr, piece, PROT_READ | PROT_WRITE, how, -1, 0);
      if (memory == MAP_FAILED) {
        error = errno;
        break;
      }
      if (!(how & MAP_POPULATE)) Touch(memory, piece);
      Reached(amount += piece);
    }
    return nullptr;
  };
  int count = *request.word == '\0' ? 1 : atoi(request.word);
  pthread_t threads[16];
  if (count > 16) count = 16;
  for (int i = 0; i < count; ++i)
    if (int refused = pthread_create(&threads[i], nullptr, take, nullptr)) return Finish(amount, refused);
  for (int i = 0; i < count; ++i) (void)pthread_join(threads[i], nullptr);
  return Finish(amount, error);
}

inline int Populate() { return Race(MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, 4 << 20); }
inline int PopulateShared() { return Race(MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, 4 << 20); }
// A look at its mappings waits for the lock that one thread's mmap wants while the other's holds it.
inline int PopulateMuch() { return Race(MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, 512 << 20); }
inline int TouchFast() { return Race(MAP_PRIVATE | MAP_ANONYMOUS, kPiece); }

}  // namespace hog
