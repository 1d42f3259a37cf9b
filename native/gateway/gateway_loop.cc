#include "gateway/gateway_loop.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>

namespace qi {
namespace {

constexpr size_t kMaxRules = 4 * 1024 * 1024;
constexpr size_t kOtherDescriptors = 640;  // resolvers' sockets, DNS over TCP, flows, relay sockets, and some to spare

bool SetNonBlocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

// To send from an address that is on no interface.
bool MayBeAnybody(int fd) {
  int on = 1;
  return setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)) == 0;
}

// All of the file; nullptr when it is too long or cannot be read.
char* ReadWhole(int file, size_t* size) {
  size_t room = 64 * 1024;
  char* text = static_cast<char*>(malloc(room));
  *size = 0;
  while (text != nullptr) {
    ssize_t n = RetryEintr([&] { return pread(file, text + *size, room - *size, static_cast<off_t>(*size)); });
    if (n == 0) return text;
    if (n < 0 || (*size += static_cast<size_t>(n)) >= kMaxRules) break;
    if (*size < room) continue;
    char* grown = static_cast<char*>(realloc(text, room *= 2));
    if (grown == nullptr) break;
    text = grown;
  }
  free(text);
  return nullptr;
}

}  // namespace

GatewayLoop::GatewayLoop()
    : dns_(&poller_, &link_, rules_, &records_, resolver_),
      udp_(&poller_, &link_, rules_, records_),
      inspector_(&poller_, &link_, rules_, records_) {}

bool GatewayLoop::Init(UniqueFd channel, size_t max_descriptors) {
  inspector_.SetMax(max_descriptors > kOtherDescriptors ? (max_descriptors - kOtherDescriptors) / 6 : 8);
  return link_.Init(std::move(channel)) && poller_.Open() && poller_.Register(this) && dns_.Init() &&
         poller_.Register(&udp_) && poller_.Register(&inspector_) && poller_.Watch(this, link_.fd(), EPOLLIN, Token());
}

bool GatewayLoop::Add(const Relay& relay, int socket) {
  if (!SetNonBlocking(socket)) return false;
  switch (relay.kind) {
    case RelayKind::kDnsUdp:
      return dns_.AddUdp(socket);
    case RelayKind::kDnsTcp:
      return listen(socket, SOMAXCONN) == 0 && dns_.AddTcp(socket);
    case RelayKind::kUdp:
      return MayBeAnybody(socket) && udp_.Add(socket, static_cast<uint16_t>(relay.port));
    case RelayKind::kInspect:
      return listen(socket, SOMAXCONN) == 0 && inspector_.Add(socket);
  }
  return false;
}

void GatewayLoop::Run() {
  while (!done_ && poller_.Step()) {
  }
}

void GatewayLoop::OnReady(Token, uint32_t) {
  for (;;) {
    GatewayMessage message;
    UniqueFd file;
    int error = link_.Receive(&message, &file);
    if (error == EAGAIN) return;
    if (error != 0) {
      done_ = true;
      return;
    }
    if (message.type == GatewayMessageType::kAnswer) dns_.OnHostAnswer(message.number, message.allowed != 0);
    if (message.type == GatewayMessageType::kRules) OnRules(file.get(), message.allowed != 0);
  }
}

// qi-monitor has parsed them with the same code: a fault here means that they did not arrive, and the old ones stay.
void GatewayLoop::OnRules(int file, bool add) {
  size_t size = 0;
  char* text = ReadWhole(file, &size);
  if (text != nullptr && rules_.Parse(text, size, add) == 0) {
    dns_.OnRulesChanged();
    udp_.OnRulesChanged();
  }
  free(text);
}

}  // namespace qi
