// The network rules of one jail: who may be talked to. Parsed from lines of text, written by src/network/rules.ts, both
// in the plan and in a live update. May run in: monitor, gateway.
//
//   host allow|deny exact|below NAME tcp|udp LOW-HIGH [inspect]
//   net allow|deny ADDRESS/PREFIX tcp|udp LOW-HIGH [inspect]   prefix of its own family; no host bits
//   public allow tcp|udp LOW-HIGH         any name, any address that is public
//   loopback PORT                         a service on the host's loopback
//   publish PORT                          a server inside that clients on the host reach
//   max-connections N                     0 = none of its own
//   on-denied ERRNO                       EACCES, ECONNREFUSED or ENETUNREACH, as a number
//   ask MILLISECONDS                      what no rule names is asked of the host; deadline
#pragma once
#include <cstddef>
#include <cstdint>

#include "network/address.h"
#include "network/name.h"
#include "network/records.h"

namespace qi {

enum class Transport : uint8_t { kTcp, kUdp };

struct Rule {
  enum class Kind : uint8_t { kExact, kBelow, kNet, kPublic };
  Kind kind = Kind::kExact;
  bool allow = false;
  bool inspect = false;
  Transport transport = Transport::kTcp;
  uint16_t low = 0, high = 0;
  uint8_t prefix = 0;  // of 128 bits
  IpAddress net;
  Name name;
};

struct Judgement {
  bool allowed = false;
  bool inspect = false;
  bool ask = false;     // refused, but the host may be asked
  bool permit = false;  // refused, but to be let through and recorded (permissive): a public host that no rule names
  const char* reason = "";     // a literal: why it is refused
  const Rule* rule = nullptr;  // that allowed or denied it
  const Name* name = nullptr;  // that produced the address, when one did
};

class Rules {
 public:
  Rules() = default;
  ~Rules();
  Rules(const Rules&) = delete;
  Rules& operator=(const Rules&) = delete;

  // Replaces all rules, or adds to them. On a fault returns the number of the bad line, from 1, and changes nothing; 0:
  // good.
  size_t Parse(const char* text, size_t size, bool add);

  // May this name be resolved: some rule allows it and none denies it whatever the port. `below` is set to the
  // wildcard's domain when only a wildcard allows it.
  Judgement JudgeName(const Name& name, const Name** below = nullptr) const;

  // May this address and port be talked to. Loopback and unspecified addresses are never allowed here.
  Judgement Judge(const IpAddress& address, uint16_t port, Transport transport, const Records& records,
                  uint64_t now_ms) const;

  // May a name's answer hold this address: public, or listed by a network rule of its own.
  bool MayResolveTo(const IpAddress& address) const;

  // Of a rule of a judgement among those for hosts, as they were parsed; -1 for none.
  long IndexOf(const Rule* rule) const { return rule == nullptr ? -1 : rule - state_.rules; }
  bool IsLoopbackPort(uint16_t port) const { return state_.loopback.Has(port); }
  bool IsPublished(uint16_t port) const { return state_.published.Has(port); }
  uint32_t max_connections() const { return state_.max_connections; }
  int on_denied() const { return state_.on_denied; }
  uint32_t ask_ms() const { return state_.ask_ms; }
  bool permissive() const { return state_.permissive; }

 private:
  static constexpr size_t kMaxPorts = 256;
  struct PortList {
    uint16_t port[kMaxPorts] = {};
    size_t count = 0;
    bool Has(uint16_t wanted) const;
  };

  bool ParseLine(char* line);
  bool AddRule(const Rule& rule);
  static bool AddPort(const char* text, PortList* list);
  bool CopyFrom(const Rules& other);
  void Take(Rules* other);
  bool Denies(const IpAddress& address, const Name* name, uint16_t port, Transport transport,
              Judgement* judgement) const;
  bool Permits(uint16_t port, Transport transport) const;
  const Rule* Allowing(const IpAddress& address, const Name* name, uint16_t port, Transport transport) const;

  // Everything, to be copied and exchanged as one; `rules` is owned by the object that holds it.
  struct State {
    Rule* rules = nullptr;
    size_t count = 0;
    PortList loopback, published;
    bool permissive = false;
    PortList permitted_udp;  // those that have a relay
    uint32_t max_connections = 0;
    int on_denied = 13;  // EACCES
    uint32_t ask_ms = 0;
  };
  State state_;
};

}  // namespace qi
