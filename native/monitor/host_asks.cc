// Questions to the host about what no rule names.
#include <cstdlib>

#include "monitor/host_sockets.h"

namespace qi {
namespace {

uint64_t NowMs() { return NowNs() / 1000000u; }

}  // namespace

HostSockets::AskItem* HostSockets::NewAsk() {
  if (asks_ == nullptr) asks_ = static_cast<AskItem*>(calloc(kMaxAsks, sizeof(AskItem)));
  if (asks_ == nullptr || asks_used_ == kMaxAsks || desk_ == nullptr) return nullptr;
  AskItem* item = &asks_[asks_used_++];
  *item = AskItem();
  item->number = next_ask_++;
  item->deadline_ms = NowMs() + rules_.ask_ms();
  return item;
}

void HostSockets::AskName(uint32_t number, const Name& name) {
  AskItem* item = NewAsk();
  if (item == nullptr) return link_.SendAnswer(number, false);
  item->name = true;
  item->gateway_number = number;
  desk_->AskHost(item->number, name.text, 0, 0);
}

bool HostSockets::Ask(const seccomp_notif& request, const IpAddress& ip, uint16_t port, const Judgement& judgement,
                      Answer* answer) {
  AskItem* item = NewAsk();
  if (item == nullptr) return false;
  item->request = request;
  item->address = answer->address;
  item->host = answer->host;
  char text[INET6_ADDRSTRLEN];
  FormatAddress(ip, text);
  answer->deferred = true;
  answer->refused = false;
  desk_->AskHost(item->number, judgement.name != nullptr ? judgement.name->text : text, port,
                 static_cast<pid_t>(request.pid));
  return true;
}

void HostSockets::OnAnswer(uint32_t number, bool allowed) {
  for (uint32_t i = 0; i < asks_used_; ++i) {
    if (asks_[i].number == number) return Decided(i, allowed, "the host said no");
  }
}

void HostSockets::ExpireAsks() {
  for (uint32_t i = asks_used_; i-- > 0;) {
    if (!asks_[i].name && !notify_->Alive(asks_[i].request.id)) {
      asks_[i] = asks_[--asks_used_];
    } else if (NowMs() >= asks_[i].deadline_ms) {
      Decided(i, false, "nobody answered in time");
    }
  }
}

void HostSockets::Decided(uint32_t index, bool allowed, const char* reason) {
  AskItem item = asks_[index];
  asks_[index] = asks_[--asks_used_];
  if (item.name) return link_.SendAnswer(item.gateway_number, allowed);
  Answer answer;
  answer.action = "network.refused";
  answer.address = item.address;
  answer.host = item.host;
  if (allowed) {
    approved_ = true;
    OnConnect(item.request, &answer);
    approved_ = false;
  } else {
    Refuse(Judgement(), reason, &answer);
  }
  desk_->Conclude(item.request, &answer);
}

}  // namespace qi
