#include "gateway/udp_relay.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <new>

#include "gateway/outside.h"
#include "gateway/reach.h"

namespace qi {
namespace {

constexpr int kPerWakeUp = 16;  // datagrams; then it is somebody else's turn
uint8_t buffer[65536];          // no datagram is longer

constexpr size_t kControlSize = CMSG_SPACE(sizeof(in6_pktinfo));

// Where a datagram was meant to go.
bool Destination(msghdr* message, IpAddress* address) {
  bool found = false;
  for (cmsghdr* c = CMSG_FIRSTHDR(message); c != nullptr; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof(info));
      memcpy(address->bytes, &info.ipi6_addr, sizeof(address->bytes));
      found = true;
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof(info));
      *address = From4(&info.ipi_addr);
      found = true;
    }
  }
  return found;
}

// That a reply is to come from `address`; a kernel without IPv6 has relay sockets of IPv4.
void SetSource(int family, const IpAddress& address, msghdr* message) {
  cmsghdr* c = CMSG_FIRSTHDR(message);
  if (family == AF_INET) {
    in_pktinfo info = {};
    memcpy(&info.ipi_spec_dst, address.bytes + 12, sizeof(info.ipi_spec_dst));
    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof(info));
    memcpy(CMSG_DATA(c), &info, sizeof(info));
    message->msg_controllen = CMSG_SPACE(sizeof(info));
    return;
  }
  in6_pktinfo info = {};
  memcpy(&info.ipi6_addr, address.bytes, sizeof(info.ipi6_addr));
  c->cmsg_level = IPPROTO_IPV6;
  c->cmsg_type = IPV6_PKTINFO;
  c->cmsg_len = CMSG_LEN(sizeof(info));
  memcpy(CMSG_DATA(c), &info, sizeof(info));
}

}  // namespace

struct UdpRelay::Datagram {
  size_t socket = 0;
  sockaddr_in6 from = {};  // of either family
  IpAddress to;
  size_t size = 0;
};

struct UdpRelay::Flow {
  size_t socket = 0;
  sockaddr_in6 from = {};
  IpAddress to;
  UniqueFd fd;
  uint16_t index = 0;
  uint32_t generation = 0;
  uint32_t rules_generation = 0;
  uint64_t used_ms = 0;
};

UdpRelay::UdpRelay(Poller* poller, Link* link, const Rules& rules, const Records& records, uint32_t idle_ms)
    : poller_(poller), link_(link), rules_(rules), records_(records), idle_ms_(idle_ms) {}

UdpRelay::~UdpRelay() {
  for (Flow* flow : flows_) delete flow;
}

bool UdpRelay::Add(int socket, uint16_t port) {
  if (socket_count_ == kMaxSockets) return false;
  sockets_[socket_count_] = socket;
  ports_[socket_count_] = port;
  auto index = static_cast<uint16_t>(kMax + socket_count_++);
  return poller_->Watch(this, socket, EPOLLIN, {index, 0});
}

void UdpRelay::End(size_t index) {
  delete flows_[index];
  flows_[index] = nullptr;
}

void UdpRelay::OnReady(Token token, uint32_t) {
  if (token.index >= kMax) return FromJail(token.index - kMax);
  Flow* flow = flows_[token.index];
  if (flow != nullptr && flow->generation == token.generation) FromOutside(flow);
}

bool UdpRelay::Receive(size_t socket, Datagram* datagram) {
  alignas(cmsghdr) char control[2 * kControlSize];
  iovec part = {buffer, sizeof(buffer)};
  msghdr message = {};
  message.msg_name = &datagram->from;
  message.msg_namelen = sizeof(datagram->from);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t n = recvmsg(sockets_[socket], &message, MSG_CMSG_CLOEXEC);
  if (n < 0) return false;
  datagram->socket = socket;
  datagram->size = static_cast<size_t>(n);
  // One that does not say where it was meant to go goes nowhere: the unspecified address is never allowed.
  if (!Destination(&message, &datagram->to)) datagram->to = IpAddress();
  return true;
}

// Once for a flow and again when the rules change, not for each datagram: as with TCP, what was open when a name's
// record ran out stays open.
bool UdpRelay::MayPass(const Datagram& datagram, uint64_t now_ms) {
  uint16_t port = ports_[datagram.socket];
  Judgement judgement = JudgeReach(rules_, datagram.to, port, Transport::kUdp, records_, now_ms);
  if (judgement.allowed) return true;
  GatewayMessage message = MessageOf(GatewayMessageType::kRefusedPacket,
                                     judgement.name != nullptr ? *judgement.name : Name(), judgement.reason);
  message.address = datagram.to;
  message.port = port;
  message.allowed = judgement.permit ? 1 : 0;
  // What is to be recorded and cannot be goes nowhere; what is refused goes nowhere either way.
  return link_->Tell(message) && judgement.permit;
}

UdpRelay::Flow* UdpRelay::FindFlow(const Datagram& datagram) {
  for (Flow* flow : flows_) {
    if (flow != nullptr && flow->socket == datagram.socket && flow->to == datagram.to &&
        memcmp(&flow->from, &datagram.from, sizeof(flow->from)) == 0)
      return flow;
  }
  return nullptr;
}

// With all places taken, the flow that was used longest ago gives way.
UdpRelay::Flow* UdpRelay::NewFlow(const Datagram& datagram, uint64_t now_ms) {
  size_t place = 0;
  for (size_t i = 0; i < kMax && flows_[place] != nullptr; ++i) {
    if (flows_[i] == nullptr || flows_[i]->used_ms < flows_[place]->used_ms) place = i;
  }
  End(place);
  Flow* flow = new (std::nothrow) Flow;
  if (flow == nullptr) return nullptr;
  flows_[place] = flow;
  flow->socket = datagram.socket;
  flow->from = datagram.from;
  flow->to = datagram.to;
  flow->fd = ConnectOutside(datagram.to, ports_[datagram.socket], SOCK_DGRAM);
  flow->index = static_cast<uint16_t>(place);
  flow->generation = ++generation_;
  flow->rules_generation = rules_generation_;
  flow->used_ms = now_ms;
  if (!flow->fd || !poller_->Watch(this, flow->fd.get(), EPOLLIN, {flow->index, flow->generation})) {
    End(place);  // no route there: lost, as on any network
    return nullptr;
  }
  poller_->WakeAt(this, now_ms + idle_ms_);
  return flow;
}

void UdpRelay::FromJail(size_t socket) {
  for (int i = 0; i < kPerWakeUp; ++i) {
    Datagram datagram;
    if (!Receive(socket, &datagram)) return;
    uint64_t now = NowMs();
    Flow* flow = FindFlow(datagram);
    if (flow == nullptr || flow->rules_generation != rules_generation_) {
      if (!MayPass(datagram, now)) {
        if (flow != nullptr) End(flow->index);
        continue;
      }
      if (flow == nullptr && (flow = NewFlow(datagram, now)) == nullptr) continue;
      flow->rules_generation = rules_generation_;
    }
    flow->used_ms = now;
    (void)send(flow->fd.get(), buffer, datagram.size, MSG_NOSIGNAL);  // lost, as on any network
  }
}

void UdpRelay::FromOutside(Flow* flow) {
  if (flow->rules_generation != rules_generation_) {
    // The program may say nothing more and listen forever.
    uint16_t port = ports_[flow->socket];
    if (!JudgeReach(rules_, flow->to, port, Transport::kUdp, records_, NowMs()).allowed) return End(flow->index);
    flow->rules_generation = rules_generation_;
  }
  for (int i = 0; i < kPerWakeUp; ++i) {
    ssize_t n = recv(flow->fd.get(), buffer, sizeof(buffer), 0);
    if (n < 0) return;  // nothing more, or a port that nobody listens on: this has been told and is gone
    flow->used_ms = NowMs();
    alignas(cmsghdr) char control[kControlSize] = {};
    iovec part = {buffer, static_cast<size_t>(n)};
    msghdr message = {};
    message.msg_name = &flow->from;
    message.msg_namelen = flow->from.sin6_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    SetSource(flow->from.sin6_family, flow->to, &message);
    (void)sendmsg(sockets_[flow->socket], &message, MSG_DONTWAIT | MSG_NOSIGNAL);  // as above
  }
}

uint64_t UdpRelay::OnTime(uint64_t now_ms) {
  uint64_t next = kNever;
  for (size_t i = 0; i < kMax; ++i) {
    if (flows_[i] == nullptr) continue;
    uint64_t until = flows_[i]->used_ms + idle_ms_;
    if (until <= now_ms)
      End(i);
    else if (until < next)
      next = until;
  }
  return next;
}

}  // namespace qi
