// Which sockets are of the jail's own network. A standard stream, and what a program outside passed to the payload, can
// be one of the host's: a socket leads wherever the network leads in which it was made, whoever has it. Runs in:
// monitor.
#pragma once
#include <sys/stat.h>

#include "monitor/jail.h"
#include "monitor/socket_facts.h"

namespace qi {

// Why such a one is refused what would take it somewhere.
inline constexpr char kForeignSocket[] = "a socket that is not of the jail's own network";

class OwnNetwork {
 public:
  explicit OwnNetwork(const Jail& jail) : jail_(jail) {}

  // While 0 to 2 are the payload's.
  void NoteStreams() {
    for (int fd = 0; fd < 3; ++fd) {
      struct stat st;
      streams_[fd] = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
    }
  }

  // `cookie`: NetworkHere of the payload.
  void Init(uint64_t cookie) { cookie_ = cookie; }

  bool Has(int socket) const {
    if (jail_.Has(kPlanShareHostNetwork)) return true;
    // No network, and no namespace either: local sockets are all that the payload can make.
    if (jail_.Has(kPlanWithoutNamespaces)) return SocketOption(socket, SOL_SOCKET, SO_DOMAIN) == AF_UNIX;
    return cookie_ != 0 ? NetworkOf(socket) == cookie_ : !IsStream(socket);
  }

 private:
  // Before Linux 5.14, which cannot tell networks apart: what was there at launch is known, what came later is not.
  bool IsStream(int socket) const {
    struct stat st;
    if (fstat(socket, &st) != 0) return true;
    for (ino_t stream : streams_) {
      if (stream != 0 && stream == st.st_ino) return true;
    }
    return false;
  }

  const Jail& jail_;
  uint64_t cookie_ = 0;
  ino_t streams_[3] = {};
};

}  // namespace qi
