// Connections to hosts of which it is checked what is said inside: the name in the TLS handshake or the HTTP head must
// be the one whose address was connected to, or another host on the same address could be reached (domain fronting). In
// the jail every address leads to lo, where pid 1 listens on the inspected ports. Runs in: gateway.
#pragma once
#include "gateway/link.h"
#include "gateway/poller.h"
#include "gateway/said_host.h"
#include "network/records.h"
#include "network/rules.h"

namespace qi {

class Inspector final : public Handler {
 public:
  static constexpr size_t kMax = 512;
  static constexpr size_t kMaxReading = 128;  // that have not said yet where to: each may hold 64 KiB

  Inspector(Poller* poller, Link* link, const Rules& rules, const Records& records, uint32_t patience_ms = 10 * 1000);
  ~Inspector();
  Inspector(const Inspector&) = delete;
  Inspector& operator=(const Inspector&) = delete;

  // Stays the caller's; listening and non-blocking.
  bool Add(int listener);

  // Each connection takes up to six descriptors.
  void SetMax(size_t max) { max_ = max < kMax ? max : kMax; }

  void OnReady(Token token, uint32_t events) override;
  uint64_t OnTime(uint64_t now_ms) override;

 private:
  static constexpr size_t kMaxListeners = 64;
  enum class State : uint8_t { kReading, kConnecting, kSending, kRelaying };
  enum Side : uint8_t { kInside, kOutside };
  struct Connection;

  void Accept(int listener);
  bool Begin(Connection* c);
  void Read(Connection* c);
  void Decide(Connection* c, const SaidHost& said);
  const char* WhyNot(const Connection& c, const SaidHost& said) const;
  void Refuse(Connection* c, const SaidHost& said, const char* reason);
  void WatchListeners();

  // inspector_relay.cc
  void Connect(Connection* c);
  void OnConnected(Connection* c);
  void SendFirst(Connection* c);
  void Relay(Connection* c);
  bool Want(Connection* c, Side side, uint32_t events);
  void End(Connection* c, bool orderly);

  Poller* poller_;
  Link* link_;
  const Rules& rules_;
  const Records& records_;
  uint32_t patience_ms_;
  size_t max_ = kMax;
  Connection* connections_[kMax] = {};
  size_t count_ = 0;
  size_t reading_ = 0;
  uint32_t generation_ = 0;
  int listeners_[kMaxListeners] = {};
  size_t listener_count_ = 0;
  bool listening_ = true;
};

}  // namespace qi
