// The gateway's end of the channel to qi-monitor (native/network/gateway_messages.h). Runs in: gateway.
#pragma once
#include "core/fd.h"
#include "network/gateway_messages.h"

namespace qi {

class Link {
 public:
  // `fd` is made non-blocking.
  bool Init(UniqueFd fd);
  int fd() const { return fd_.get(); }

  // False when qi-monitor does not take it, even after a moment's wait: then what was to be told must not come to pass,
  // or something would be refused or opened of which nobody knows.
  bool Tell(const GatewayMessage& message);

  // 0, EAGAIN when there is none, or another errno when the channel is of no more use. `file` gets a descriptor that
  // came along.
  int Receive(GatewayMessage* message, UniqueFd* file);

 private:
  UniqueFd fd_;
  bool stuck_ = false;
};

GatewayMessage MessageOf(GatewayMessageType type, const Name& name, const char* reason);

// Text that is no host name, for an event; printable already.
Name Shown(const char* text);

}  // namespace qi
