// Refusals as events: the first of a kind at once, the same again within a second as a count, and when there are more
// kinds than places, the rest as one total. Nothing is dropped unseen. Runs in: monitor.
#pragma once
#include <linux/seccomp.h>

#include "core/hash.h"
#include "monitor/decode.h"
#include "monitor/events.h"
#include "monitor/jail_processes.h"
#include "network/address.h"

namespace qi {

struct Refusal {
  const seccomp_notif* request = nullptr;
  const char* syscall = "";  // name, "unknown" when the plan has none
  const char* rule = "";     // which rule refused it
  const char* action = "syscall.refused";
  const Address* address = nullptr;  // the copy that was decided about, if there is one
  const char* protocol = "";         // of a connection or a datagram to it: tcp, udp
  int error = 0;                     // what the payload got or (`permitted`) would have got; 0: it was killed
  bool permitted = false;            // permissive: recorded and let through
  const char* host = "";             // the name that produced the address
  // What the decision was about, where that is a path in the jail; the arguments are a later look.
  const char* path = "";
};

// A refusal that no call of the payload waits for: a name, a datagram, the first bytes of a connection.
struct NetworkRefusal {
  const char* action = "network.refused";
  const char* rule = "";
  const char* host = "";               // name, where one is known
  const char* type = nullptr;          // of the DNS record asked for
  const IpAddress* address = nullptr;  // with `port` and `protocol`
  uint16_t port = 0;
  const char* protocol = "";
  const char* said = "";  // the name that was claimed instead
  bool permitted = false;
  // Who asked: the process with this UDP port, looked up when the refusal is of a new kind.
  const JailProcesses* processes = nullptr;
  uint16_t from_port = 0;
};

class RefusalLog {
 public:
  explicit RefusalLog(EventWriter* events) : events_(events) {}

  void Add(const Refusal& refusal);
  void AddNetwork(const NetworkRefusal& refusal);
  // Writes the counts that are due. `all`: everything that is left (the jail ended).
  void Flush(bool all);
  // True while something is waiting to be counted out.
  bool Pending() const { return used_ > 0 || overflow_ > 0 || overflow_permitted_ > 0; }
  uint64_t total() const { return total_; }
  // Permissive: what was let through.
  uint64_t permitted() const { return permitted_; }

 private:
  static constexpr size_t kKinds = 64;
  static constexpr size_t kTextBytes = 14 * 1024;
  struct Kind {
    uint64_t key;
    uint64_t since_ns;
    uint64_t repeats;  // since the last event of this kind
    const char* action;
    bool permitted;
    TalliedRefusal* tallied;
    char text[kTextBytes];  // members of context.parameters but repeatCount
  };
  // True when this kind is known and was counted, or there is no place to tell it apart.
  bool Counted(uint64_t key, bool permitted);
  // Writes what scratch_ holds and remembers it as a kind.
  void Remember(uint64_t key, const char* action, bool permitted, TalliedRefusal* tallied);
  void Write(const Kind& kind, uint64_t repeats);
  TalliedRefusal* Tallied(const Refusal& refusal);
  TalliedRefusal* Tallied(const NetworkRefusal& refusal);
  void WriteFlood(uint64_t* count, bool permitted);

  EventWriter* events_;
  const uint64_t seed_ = DrawHashSeed();
  JsonWriter scratch_;
  Kind kinds_[kKinds];
  size_t used_ = 0;
  uint64_t overflow_ = 0;
  uint64_t overflow_permitted_ = 0;
  uint64_t total_ = 0;
  uint64_t permitted_ = 0;
};

}  // namespace qi
