// One line for a person, built in place. A payload chose parts of it: what would command a terminal, or look like
// another line, is escaped as it is added. Runs in: monitor.
#pragma once
#include <cstddef>
#include <cstdint>

namespace qi {

class Sentence {
 public:
  void Clear() { size_ = 0; }
  Sentence& Add(const char* text);
  Sentence& AddNumber(uint64_t number);
  Sentence& AddSize(uint64_t bytes);    // 1536: 1.5 KiB
  Sentence& AddWord(const char* text);  // as one word of a shell: what we propose is pasted

  // Ends the line and returns it; valid until Clear.
  const char* Finish();
  size_t size() const { return size_; }

 private:
  void Put(const char* bytes, size_t count);
  void AddText(const char* text, size_t size);
  void AddSequence(const unsigned char* p, size_t count);

  char text_[64 * 1024];  // what does not fit is left out
  size_t size_ = 0;
};

// Writes all of it, and gives up on a reader that is gone or takes nothing for some seconds.
void WriteToPerson(int fd, const char* text, size_t size);

}  // namespace qi
