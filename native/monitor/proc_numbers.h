// The numbered entries of a directory of /proc: processes, threads, descriptors. Runs in: monitor.
#pragma once
#include <dirent.h>

namespace qi {

class ProcNumbers {
 public:
  ProcNumbers(int dir, const char* path);
  ~ProcNumbers();
  ProcNumbers(const ProcNumbers&) = delete;
  ProcNumbers& operator=(const ProcNumbers&) = delete;

  bool ok() const { return dir_ != nullptr; }
  int fd() const { return dirfd(dir_); }
  // The next name of digits only; nullptr at the end. Valid until the next call.
  const char* Next();
  void Rewind();

 private:
  DIR* dir_ = nullptr;
};

}  // namespace qi
