// Of DnsServer: queries that wait for a resolver or for the host. The same question is asked once, whoever asks it.
#include <new>

#include "gateway/dns_server.h"

namespace qi {

struct DnsServer::Waiter {
  DnsClient client;
  DnsQuery query;
  Waiter* next = nullptr;
};

struct DnsServer::Lookup {
  Name name;
  Name judged;
  uint16_t type = 0;
  uint32_t asked = 0;     // number of the question to the host; 0: a resolver is asked
  uint64_t until_ms = 0;  // for the host's answer
  Waiter* waiters = nullptr;
};

DnsServer::~DnsServer() {
  for (size_t i = 0; i < kMaxLookups; ++i) {
    for (Waiter* w = lookups_[i] == nullptr ? nullptr : End(i); w != nullptr;) {
      Waiter* next = w->next;
      delete w;
      w = next;
    }
  }
}

DnsServer::Lookup* DnsServer::Find(const DnsQuery& query, bool ask) const {
  for (Lookup* lookup : lookups_) {
    if (lookup != nullptr && lookup->type == query.type && (lookup->asked != 0) == ask && lookup->name == query.name)
      return lookup;
  }
  return nullptr;
}

void DnsServer::Wait(const DnsClient& client, const DnsQuery& query, const Name& judged, bool ask) {
  Lookup* lookup = Find(query, ask);
  Waiter* waiter = waiter_count_ < kMaxWaiters ? new (std::nothrow) Waiter : nullptr;
  if (waiter != nullptr && lookup == nullptr) lookup = Start(query, judged, ask);
  if (waiter == nullptr || lookup == nullptr) {
    delete waiter;
    if (ask) return Refuse(client, query, "the host cannot be asked so much at once");
    return Respond(client, query, Rcode::kServFail, DnsData());
  }
  waiter->client = client;
  waiter->query = query;
  waiter->next = lookup->waiters;
  lookup->waiters = waiter;
  ++waiter_count_;
}

DnsServer::Lookup* DnsServer::Start(const DnsQuery& query, const Name& judged, bool ask) {
  size_t index = 0;
  while (index < kMaxLookups && lookups_[index] != nullptr) ++index;
  Lookup* lookup = index < kMaxLookups ? new (std::nothrow) Lookup : nullptr;
  if (lookup == nullptr) return nullptr;
  lookup->name = query.name;
  lookup->judged = judged;
  lookup->type = query.type;
  if (ask ? !AskHost(lookup) : !upstream_.Ask(query.name, query.type, static_cast<uint16_t>(index))) {
    delete lookup;
    return nullptr;
  }
  lookups_[index] = lookup;
  return lookup;
}

// One question for a name, whatever types of it are wanted.
bool DnsServer::AskHost(Lookup* lookup) {
  size_t open = 0;
  for (const Lookup* other : lookups_) {
    if (other == nullptr || other->asked == 0) continue;
    ++open;
    if (!(other->name == lookup->name)) continue;
    lookup->asked = other->asked;
    lookup->until_ms = other->until_ms;
  }
  if (open >= kMaxAsked) return false;
  if (lookup->asked != 0) return true;
  lookup->asked = ++ask_number_ == 0 ? ++ask_number_ : ask_number_;
  lookup->until_ms = NowMs() + rules_.ask_ms();
  poller_->WakeAt(this, lookup->until_ms);
  GatewayMessage message = MessageOf(GatewayMessageType::kAskName, lookup->name, "");
  message.number = lookup->asked;
  return link_->Tell(message);
}

// Frees the place and hands over who waited.
DnsServer::Waiter* DnsServer::End(size_t index) {
  Waiter* waiters = lookups_[index]->waiters;
  delete lookups_[index];
  lookups_[index] = nullptr;
  for (const Waiter* w = waiters; w != nullptr; w = w->next) --waiter_count_;
  return waiters;
}

void DnsServer::OnAnswer(uint16_t ticket, AnswerResult result, DnsData* data) {
  const Lookup* lookup = lookups_[ticket];
  if (lookup == nullptr || lookup->asked != 0) return;
  cache_.Put(lookup->name, lookup->type, result, data, NowMs());
  Outcome outcome = Vet(lookup->judged, result, data);
  for (Waiter* w = End(ticket); w != nullptr;) {
    Reply(w->client, w->query, outcome, *data);
    Waiter* next = w->next;
    delete w;
    w = next;
  }
}

void DnsServer::OnHostAnswer(uint32_t number, bool allowed) { EndAsked(number, allowed, "the host said no"); }

void DnsServer::EndAsked(uint32_t number, bool allowed, const char* reason) {
  bool remembered = false;
  for (size_t i = 0; i < kMaxLookups; ++i) {
    const Lookup* lookup = lookups_[i];
    if (lookup == nullptr || lookup->asked == 0 || lookup->asked != number) continue;
    if (!remembered) gate_.Remember(lookup->name, allowed, NowMs());
    remembered = true;
    for (Waiter* w = End(i); w != nullptr;) {
      if (allowed)
        Resolve(w->client, w->query, w->query.name);
      else
        Refuse(w->client, w->query, reason);
      Waiter* next = w->next;
      delete w;
      w = next;
    }
  }
}

uint64_t DnsServer::OnTime(uint64_t now_ms) {
  uint64_t next = kNever;
  for (const Lookup* lookup : lookups_) {
    if (lookup == nullptr || lookup->asked == 0) continue;
    if (lookup->until_ms <= now_ms)
      EndAsked(lookup->asked, false, "nobody answered in time");
    else if (lookup->until_ms < next)
      next = lookup->until_ms;
  }
  return next;
}

}  // namespace qi
