// Writing a refused call's arguments by name. Runs in: monitor.
#pragma once
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "monitor/json.h"

namespace qi {

// A socket address as copied once from the payload.
struct Address {
  sockaddr_storage storage = {};
  socklen_t length = 0;
  bool readable = false;

  int family() const { return readable && length >= sizeof(sa_family_t) ? storage.ss_family : -1; }
};

Address ReadAddress(pid_t tid, uint64_t pointer, uint64_t length);

// Members family, address, port or path.
void DescribeAddress(const Address& address, JsonWriter* json);

// Members of "arguments" of the call `name`: flags by name, paths and addresses as text, the rest as numbers.
// `known`: the address that was decided about, since the payload may have changed the one in its memory; may be null.
void DescribeArguments(const char* name, const seccomp_notif& request, JsonWriter* json,
                       const Address* known = nullptr);

}  // namespace qi
