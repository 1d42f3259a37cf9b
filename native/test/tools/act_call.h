// Any chain of raw system calls, as the arguments say. `NUMBER ARG… [-- NUMBER ARG…]…`, where an argument is
//   123, -1, 0x7f    a number            s:TEXT   pointer to text          z:N   pointer to N zero bytes
//   $K               result of call K    b:HEX    pointer to bytes         len   size of the last pointed-to bytes
//   child            a sibling's pid     fd:PATH  PATH opened O_PATH       p:…  pointer to words, see Words()
// Stops at the first error, and says which call it was when there are several.
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "act_report.h"

namespace act {

// A process of ours that does nothing, to be acted upon.
inline pid_t sibling = 0;

inline pid_t Sibling() {
  if (sibling == 0) sibling = fork();
  if (sibling != 0) return sibling;
  for (;;) pause();
}

inline void EndSibling() {
  if (sibling > 0) (void)kill(sibling, SIGKILL);
}

class Chain {
 public:
  explicit Chain(std::vector<std::string> words) : words_(std::move(words)) {}

  void Run() {
    size_t begin = 0;
    long result = -1;
    while (begin < words_.size()) {
      size_t end = begin;
      while (end < words_.size() && words_[end] != "--") ++end;
      errno = 0;
      result = Call(begin, end);
      results_.push_back(result);
      if (result < 0) break;
      begin = end + 1;
    }
    int error = errno;
    if (seen_ != nullptr && result > 0) return Done("%ld %s", result, Printable(static_cast<size_t>(result)).c_str());
    if (result >= 0) return Done("%ld", result);
    results_.size() > 1 ? Failed(error, "#%zu", results_.size() - 1) : Failed(error, nullptr);
  }

 private:
  long Call(size_t begin, size_t end) {
    uint64_t a[7] = {};
    seen_ = nullptr;
    for (size_t i = begin; i < end && i - begin < 7; ++i) a[i - begin] = Value(words_[i]);
    auto number = static_cast<long>(a[0]);
    pid_t self = getpid();
    long result = syscall(number, a[1], a[2], a[3], a[4], a[5], a[6]);
    if (static_cast<pid_t>(syscall(SYS_getpid)) != self) _exit(0);  // the child of a clone; its parent reports
    return result;
  }

  uint64_t Value(const std::string& word) {
    if (word == "len") return last_;
    if (word == "child") return static_cast<uint64_t>(Sibling());
    if (word[0] == '$') return static_cast<uint64_t>(results_[strtoul(word.c_str() + 1, nullptr, 10)]);
    if (word.compare(0, 3, "fd:") == 0) return static_cast<uint64_t>(open(word.c_str() + 3, O_PATH | O_CLOEXEC));
    if (word.size() > 1 && word[1] == ':') return Pointer(Bytes(word), word[0] == 'z');
    return strtoull(word.c_str(), nullptr, 0);
  }

  std::string Bytes(const std::string& word) {
    std::string rest = word.substr(2);
    if (word[0] == 's') return rest + '\0';
    if (word[0] == 'z') return std::string(strtoul(rest.c_str(), nullptr, 0), '\0');
    if (word[0] == 'p') return Words(rest);
    std::string bytes;
    for (size_t i = 0; i + 1 < rest.size(); i += 2)
      bytes += static_cast<char>(strtoul(rest.substr(i, 2).c_str(), nullptr, 16));
    return bytes;
  }

  // An array of words, each a number or `&` and the bytes that it points to (`p:&41414141,4`): an iovec, a msghdr.
  std::string Words(const std::string& list) {
    std::string bytes;
    for (size_t at = 0; at < list.size();) {
      size_t comma = list.find(',', at);
      if (comma == std::string::npos) comma = list.size();
      std::string item = list.substr(at, comma - at);
      uint64_t value =
          item[0] == '&' ? Pointer(Bytes("b:" + item.substr(1)), false) : strtoull(item.c_str(), nullptr, 0);
      bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
      at = comma + 1;
    }
    return bytes;
  }

  // Kept until the process ends: the kernel may look at it as long as it likes.
  uint64_t Pointer(const std::string& bytes, bool shown) {
    char* copy = static_cast<char*>(malloc(bytes.size() + 1));
    memcpy(copy, bytes.data(), bytes.size());
    last_ = bytes.size();
    if (shown) seen_ = copy;
    return reinterpret_cast<uint64_t>(copy);
  }

  std::string Printable(size_t size) const {
    std::string text;
    for (size_t i = 0; i < size && i < last_ && i < 200; ++i)
      text += seen_[i] >= ' ' && seen_[i] < 127 ? seen_[i] : '.';
    return text;
  }

  std::vector<std::string> words_;
  std::vector<long> results_;
  size_t last_ = 0;
  const char* seen_ = nullptr;
};

}  // namespace act
