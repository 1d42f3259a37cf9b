#include "monitor/gateway_link.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstring>

#include "core/uapi.h"
#include "monitor/channel.h"
#include "monitor/jail.h"

namespace qi {
namespace {

uint64_t NowMs() { return NowNs() / 1000000u; }

// The gateway reads hostile bytes: what it says is text to print and an address to check, never a length to trust.
void Terminate(GatewayMessage* message) {
  message->reason[sizeof(message->reason) - 1] = 0;
  for (Name* name : {&message->name, &message->said}) {
    name->text[sizeof(name->text) - 1] = 0;
    name->size = static_cast<uint8_t>(strlen(name->text));
  }
}

const char* RecordType(uint32_t type, char (&room)[16]) {
  constexpr struct {
    uint32_t type;
    const char* name;
  } kTypes[] = {{1, "A"},    {2, "NS"},    {5, "CNAME"}, {6, "SOA"},   {12, "PTR"},   {15, "MX"},
                {16, "TXT"}, {28, "AAAA"}, {33, "SRV"},  {64, "SVCB"}, {65, "HTTPS"}, {255, "ANY"}};
  for (const auto& t : kTypes) {
    if (t.type == type) return t.name;
  }
  snprintf(room, sizeof(room), "TYPE%u", type);
  return room;
}

}  // namespace

bool GatewayLink::Drain() {
  // More than the channel holds, so that nothing that waited when this began is left; without end, a program that asks
  // for refused names as fast as it can would keep the host's commands waiting.
  constexpr int kMost = 16384;
  for (int i = 0; i < kMost; ++i) {
    GatewayMessage message;
    ssize_t n = RetryEintr([&] { return recv(channel_.get(), &message, sizeof(message), MSG_DONTWAIT); });
    if (n < 0) return errno == EAGAIN;
    if (n != static_cast<ssize_t>(sizeof(message))) return false;
    Terminate(&message);
    Take(message);
  }
  return true;
}

// `hosts ADDRESS NAME` of the plan. A short name that a search domain completes is told of as it was asked for.
bool GatewayLink::IsInHostsTable(const Name& name, const IpAddress& address) const {
  const char* end = resolver_ + resolver_size_;
  for (const char *line = resolver_, *next; line < end; line = next) {
    const auto* newline = static_cast<const char*>(memchr(line, '\n', static_cast<size_t>(end - line)));
    next = newline == nullptr ? end : newline + 1;
    char text[512] = "", host[256], number[INET6_ADDRSTRLEN];
    auto size = static_cast<size_t>((newline == nullptr ? end : newline) - line);
    if (size >= sizeof(text)) continue;
    memcpy(text, line, size);
    IpAddress listed;
    Name known;
    if (sscanf(text, "hosts %45s %255s", number, host) != 2 || !ParseAddress(number, &listed)) continue;
    if (!(listed == address) || !ParseName(host, strlen(host), &known)) continue;
    bool begins = known.size > name.size && known.text[name.size] == '.';
    if (known == name || (begins && memcmp(known.text, name.text, name.size) == 0)) return true;
  }
  return false;
}

void GatewayLink::Take(const GatewayMessage& message) {
  NetworkRefusal refusal;
  refusal.rule = message.reason;
  refusal.host = message.name.text;
  // A gateway that was taken over may not call what the rules refuse let through.
  refusal.permitted = message.allowed != 0 && rules_->permissive();
  char room[16];
  switch (message.type) {
    case GatewayMessageType::kResolved: {
      // Judged again: a gateway that was taken over may not open what names do not lead to.
      bool trusted = message.trusted != 0 && IsInHostsTable(message.name, message.address);
      if (!trusted && !rules_->MayResolveTo(message.address)) return;
      Record record;
      record.name = message.name;
      record.address = message.address;
      record.trusted = trusted;
      record.expires_ms = NowMs() + message.milliseconds;
      return records_->Add(record, NowMs());
    }
    case GatewayMessageType::kRefusedName:
      refusal.action = "dns.refused";
      refusal.processes = &processes_;
      refusal.from_port = message.port;
      refusal.type = RecordType(message.number, room);
      return log_->AddNetwork(refusal);
    case GatewayMessageType::kRefusedPacket:
    case GatewayMessageType::kRefusedHello:
      refusal.address = &message.address;
      refusal.port = message.port;
      refusal.said = message.said.text;
      refusal.protocol = message.type == GatewayMessageType::kRefusedPacket ? "udp" : "tcp";
      return log_->AddNetwork(refusal);
    case GatewayMessageType::kAskName:
      return asker_->AskName(message.number, message.name);
    case GatewayMessageType::kAnswer:
    case GatewayMessageType::kRules:
      return;
  }
}

int GatewayLink::SendRules(const char* text, size_t size, bool add) {
  UniqueFd memory(static_cast<int>(syscall(SYS_memfd_create, "qi-rules", MFD_CLOEXEC)));
  if (!memory) return errno;
  if (int error = WriteAll(memory.get(), text, size)) return error;
  GatewayMessage message = {};
  message.type = GatewayMessageType::kRules;
  message.allowed = add ? 1 : 0;
  int fd = memory.get();
  return SendMessage(channel_.get(), &message, sizeof(message), &fd, 1);
}

void GatewayLink::SendAnswer(uint32_t number, bool allowed) {
  GatewayMessage message = {};
  message.type = GatewayMessageType::kAnswer;
  message.number = number;
  message.allowed = allowed ? 1 : 0;
  (void)SendMessage(channel_.get(), &message, sizeof(message));  // gone: the loop sees it
}

}  // namespace qi
