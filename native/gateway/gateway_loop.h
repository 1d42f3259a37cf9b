// The gateway's parts, put together. Runs in: gateway.
#pragma once
#include "gateway/dns_server.h"
#include "gateway/inspector.h"
#include "gateway/link.h"
#include "gateway/poller.h"
#include "gateway/resolver.h"
#include "gateway/udp_relay.h"

namespace qi {

class GatewayLoop final : public Handler {
 public:
  GatewayLoop();

  bool Init(UniqueFd channel, size_t max_descriptors);
  bool SetRules(const char* text, size_t size) { return rules_.Parse(text, size, false) == 0; }
  bool SetResolver(const char* text, size_t size) { return resolver_.Parse(text, size); }
  bool Add(const Relay& relay, int socket);

  int channel() const { return link_.fd(); }

  // Until the channel ends.
  void Run();

  void OnReady(Token token, uint32_t events) override;

 private:
  void OnRules(int file, bool add);

  Poller poller_;
  Link link_;
  Rules rules_;
  Records records_;
  Resolver resolver_;
  DnsServer dns_;
  UdpRelay udp_;
  Inspector inspector_;
  bool done_ = false;
};

}  // namespace qi
