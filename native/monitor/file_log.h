// What was done to files as events: the first of a kind at once, the same again within a second as a count. More kinds
// than there is room for are counted as one total. A start of a program touches hundreds of files, so there is room
// for many; refusals, which a payload can make as it likes, may come to that many at first and to a few each second
// then. Runs in: monitor.
#pragma once
#include <linux/seccomp.h>

#include "core/hash.h"
#include "monitor/events.h"

namespace qi {

struct FileEvent {
  const seccomp_notif* request = nullptr;
  const char* syscall = "";
  const char* action = "";  // file.read, …
  const char* access = "";  // what was wanted: read, write, read|write, execute, …
  const char* path = "";
  const char* to = "";     // the new name of what is moved or linked
  const char* rule = "";   // of a grant, a deny, or `not granted`
  int error = 0;           // what the call gets; 0: it goes through
  bool would_be = false;   // refused but for permissive mode, with `error`
  bool is_barred = false;  // whether the host has it could not be seen
};

class FileLog {
 public:
  explicit FileLog(EventWriter* events) : events_(events) {}
  ~FileLog();

  void Add(const FileEvent& event);
  // Writes the counts that are due. `all`: everything that is left (the jail ended).
  void Flush(bool all);
  bool Pending() const { return used_ > 0 || overflow_ > 0; }
  // Refused, not counting what permissive mode let through.
  uint64_t refused() const { return refused_; }

 private:
  enum Outcome : uint8_t { kBlocked, kWouldBe, kDone };
  struct Kind {
    uint64_t key;
    uint64_t since_ns;
    uint64_t repeats;  // since the last event of this kind
    const char* action;
    char* text;  // members of context.parameters but repeatCount; null: counted only
    Outcome outcome;
    TalliedRefusal* tallied;
  };
  static constexpr size_t kKinds = 4096;
  static constexpr size_t kSlots = 2 * kKinds;  // so that probing ends soon
  static constexpr size_t kTextBytes = 8 << 20;
  static constexpr uint64_t kBurst = 1024;
  static constexpr uint64_t kRefusalsPerSecond = 64;

  Kind* Slot(uint64_t key);
  bool MayTell(Outcome outcome);
  void Describe(const FileEvent& event);
  void Write(const Kind& kind, const char* members, uint64_t repeats);
  void WriteTotal();

  EventWriter* events_;
  const uint64_t seed_ = DrawHashSeed();
  JsonWriter scratch_;
  Kind* slots_ = nullptr;  // hashed by key, probed linearly; null until the first event
  size_t used_ = 0;
  size_t text_bytes_ = 0;
  uint64_t budget_ = kBurst;
  uint64_t budget_since_ns_ = 0;
  uint64_t overflow_ = 0;
  uint64_t refused_ = 0;
};

}  // namespace qi
