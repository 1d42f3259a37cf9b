// Datagrams to listed hosts. In the jail every address leads to lo, where pid 1 bound a socket to each listed port: it
// sees where a datagram was meant to go. Each pair of a program's socket and a destination is a flow, with a socket of
// its own outside. Runs in: gateway.
#pragma once
#include "gateway/link.h"
#include "gateway/poller.h"
#include "network/records.h"
#include "network/rules.h"

namespace qi {

class UdpRelay final : public Handler {
 public:
  static constexpr size_t kMax = 256;

  UdpRelay(Poller* poller, Link* link, const Rules& rules, const Records& records, uint32_t idle_ms = 60 * 1000);
  ~UdpRelay();
  UdpRelay(const UdpRelay&) = delete;
  UdpRelay& operator=(const UdpRelay&) = delete;

  // Stays the caller's; non-blocking, bound to `port` and told to say where datagrams were meant to go.
  bool Add(int socket, uint16_t port);

  void OnRulesChanged() { ++rules_generation_; }

  void OnReady(Token token, uint32_t events) override;
  uint64_t OnTime(uint64_t now_ms) override;

 private:
  static constexpr size_t kMaxSockets = 64;
  struct Flow;
  struct Datagram;

  void FromJail(size_t socket);
  void FromOutside(Flow* flow);
  bool Receive(size_t socket, Datagram* datagram);
  bool MayPass(const Datagram& datagram, uint64_t now_ms);
  Flow* FindFlow(const Datagram& datagram);
  Flow* NewFlow(const Datagram& datagram, uint64_t now_ms);
  void End(size_t index);

  Poller* poller_;
  Link* link_;
  const Rules& rules_;
  const Records& records_;
  uint32_t idle_ms_;
  uint32_t generation_ = 0;
  uint32_t rules_generation_ = 0;
  int sockets_[kMaxSockets] = {};
  uint16_t ports_[kMaxSockets] = {};
  size_t socket_count_ = 0;
  Flow* flows_[kMax] = {};
};

}  // namespace qi
