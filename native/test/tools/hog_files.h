// Too many or too large files. `word` is a folder or a path.
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hog_memory.h"

namespace hog {

// Empty ones, a thousand a folder.
inline int TinyFiles() {
  static uint64_t next = 0;
  int code = TakeUntilRefused(1, 1000, [] {
    char path[300];
    if (next % 1000 == 0) {
      snprintf(path, sizeof(path), "%s/d%llu", request.word, static_cast<unsigned long long>(next / 1000));
      if (mkdir(path, 0700) != 0) return errno;
    }
    snprintf(path, sizeof(path), "%s/d%llu/%llu", request.word, static_cast<unsigned long long>(next / 1000),
             static_cast<unsigned long long>(next));
    ++next;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return errno;
    (void)close(fd);
    return 0;
  });
  return code;
}

// One byte at the far end.
inline int Sparse(bool truncate) {
  int fd = open(request.word, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Finish(0, errno);
  auto end = static_cast<off_t>(request.bound);
  bool done = truncate ? ftruncate(fd, end) == 0 : pwrite(fd, "x", 1, end - 1) == 1;
  int error = done ? 0 : errno;
  struct stat now = {};
  (void)fstat(fd, &now);
  (void)unlink(request.word);
  return Finish(static_cast<uint64_t>(now.st_size), error);
}

// The signal of the limit is held back, so that the call fails.
inline int SparseDeaf() {
  (void)signal(SIGXFSZ, SIG_IGN);
  return Sparse(false);
}

// Written and read back, so that the host's cache has all of it.
inline int PageCache() {
  static int fd = open(request.word, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Finish(0, errno);
  int code = TakeUntilRefused(kPiece, kPiece, [] { return WritePiece(fd); });
  static char back[kPiece];
  (void)lseek(fd, 0, SEEK_SET);
  while (read(fd, back, sizeof(back)) > 0) continue;
  (void)unlink(request.word);
  return code;
}

// The same, mapped and looked at: resident, but no memory of the jail's own.
inline int MapFile() {
  static int fd = open(request.word, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  static off_t at = 0;
  if (fd < 0) return Finish(0, errno);
  (void)unlink(request.word);
  return TakeUntilRefused(kPiece, kPiece, [] {
    if (int error = WritePiece(fd)) return error;
    auto* piece = static_cast<volatile char*>(mmap(nullptr, kPiece, PROT_READ, MAP_SHARED, fd, at));
    if (piece == MAP_FAILED) return errno;
    for (size_t i = 0; i < kPiece; i += 4096) (void)piece[i];
    at += kPiece;
    return 0;
  });
}

// As large a core as the bound, if cores are dumped.
inline int Core() {
  void* much = malloc(request.bound);
  if (much != nullptr) Touch(much, request.bound);
  abort();
}

}  // namespace hog
