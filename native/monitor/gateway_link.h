// qi-monitor's end of the channel to the gateway: what names were answered with, what was refused there, and the rules
// down to it. Runs in: monitor.
#pragma once
#include "core/fd.h"
#include "monitor/refusals.h"
#include "network/gateway_messages.h"
#include "network/records.h"
#include "network/rules.h"

namespace qi {

// Asks the host whether something no rule names may be reached; the answer comes by Loop. Owned by HostSockets.
class NameAsker {
 public:
  virtual void AskName(uint32_t number, const Name& name) = 0;

 protected:
  ~NameAsker() = default;
};

class GatewayLink {
 public:
  GatewayLink(const Rules* rules, Records* records, RefusalLog* log) : rules_(rules), records_(records), log_(log) {}

  // `resolver`: the plan's text, which holds the host's table of names.
  void Take(UniqueFd channel, NameAsker* asker, const char* resolver, size_t size) {
    channel_ = static_cast<UniqueFd&&>(channel);
    asker_ = asker;
    resolver_ = resolver;
    resolver_size_ = size;
  }
  int fd() const { return channel_.get(); }
  void SetRoot(int root) { processes_.SetRoot(root); }

  // Takes in everything that waits: what the gateway said before it answered a query is known before the connect that
  // follows the answer is judged. False when the gateway is gone.
  bool Drain();

  // Rule lines to the gateway. Returns 0 or an errno.
  int SendRules(const char* text, size_t size, bool add);
  void SendAnswer(uint32_t number, bool allowed);

 private:
  void Take(const GatewayMessage& message);
  bool IsInHostsTable(const Name& name, const IpAddress& address) const;

  const Rules* rules_;
  Records* records_;
  RefusalLog* log_;
  NameAsker* asker_ = nullptr;
  const char* resolver_ = "";
  size_t resolver_size_ = 0;
  UniqueFd channel_;
  JailProcesses processes_;
};

}  // namespace qi
