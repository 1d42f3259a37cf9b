#include "gateway/reach.h"

#include "gateway/outside.h"

namespace qi {

Judgement JudgeReach(const Rules& rules, const IpAddress& address, uint16_t port, Transport transport,
                     const Records& records, uint64_t now_ms) {
  Judgement judgement = rules.Judge(address, port, transport, records, now_ms);
  // A rule for that one address means it, whatever it is; a network that it happens to lie in does not.
  bool listed = judgement.rule != nullptr && judgement.rule->kind == Rule::Kind::kNet && judgement.rule->prefix == 128;
  if ((!judgement.allowed && !judgement.permit) || listed || !IsOwnAddress(address)) return judgement;
  for (const Record* r = records.Next(address, now_ms); r != nullptr; r = records.Next(address, now_ms, r)) {
    if (r->trusted && judgement.name != nullptr && r->name == *judgement.name) return judgement;
  }
  judgement.allowed = judgement.permit = false;
  judgement.reason = "an address of this host";
  return judgement;
}

}  // namespace qi
