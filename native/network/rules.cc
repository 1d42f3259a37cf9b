#include "network/rules.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace qi {
namespace {

constexpr size_t kMaxRules = 4096;
constexpr size_t kMaxLine = 512;
constexpr size_t kMaxWords = 8;

// A line cut at its spaces.
struct Words {
  const char* word[kMaxWords] = {};
  size_t count = 0;
  bool Is(size_t i, const char* text) const { return i < count && strcmp(word[i], text) == 0; }
};

bool Split(char* line, Words* words) {
  char* rest = nullptr;
  for (char* word = strtok_r(line, " ", &rest); word != nullptr; word = strtok_r(nullptr, " ", &rest)) {
    if (words->count == kMaxWords) return false;
    words->word[words->count++] = word;
  }
  return true;
}

bool Number(const char* text, unsigned long max, unsigned long* out) {
  if (text == nullptr || *text < '0' || *text > '9') return false;
  char* end;
  errno = 0;
  *out = strtoul(text, &end, 10);
  return errno == 0 && *end == 0 && *out <= max;
}

bool Ports(const char* text, Rule* rule) {
  unsigned low, high;
  int used = 0;
  if (sscanf(text, "%5u-%5u%n", &low, &high, &used) != 2 || text[used] != 0) return false;
  if (low < 1 || high > 65535 || low > high) return false;
  rule->low = static_cast<uint16_t>(low);
  rule->high = static_cast<uint16_t>(high);
  return true;
}

bool TransportOf(const char* text, Rule* rule) {
  rule->transport = strcmp(text, "udp") == 0 ? Transport::kUdp : Transport::kTcp;
  return rule->transport == Transport::kUdp || strcmp(text, "tcp") == 0;
}

bool Action(const char* text, Rule* rule) {
  rule->allow = strcmp(text, "allow") == 0;
  return rule->allow || strcmp(text, "deny") == 0;
}

bool Network(const char* text, Rule* rule) {
  char address[INET6_ADDRSTRLEN];
  const char* slash = strchr(text, '/');
  size_t size = slash == nullptr ? 0 : static_cast<size_t>(slash - text);
  if (size == 0 || size >= sizeof(address)) return false;
  memcpy(address, text, size);
  address[size] = 0;
  unsigned long prefix;
  bool six = strchr(address, ':') != nullptr;
  if (!ParseAddress(address, &rule->net) || !Number(slash + 1, six ? 128 : 32, &prefix)) return false;
  rule->prefix = static_cast<uint8_t>(six ? prefix : prefix + 96);
  return true;
}

// host allow|deny exact|below NAME tcp|udp LOW-HIGH [inspect]
bool HostRule(const Words& w, Rule* rule) {
  if (w.count < 6 || w.count > 7 || (w.count == 7 && !w.Is(6, "inspect"))) return false;
  rule->inspect = w.count == 7;
  rule->kind = w.Is(2, "below") ? Rule::Kind::kBelow : Rule::Kind::kExact;
  return Action(w.word[1], rule) && (w.Is(2, "below") || w.Is(2, "exact")) &&
         ParseName(w.word[3], strlen(w.word[3]), &rule->name) && TransportOf(w.word[4], rule) && Ports(w.word[5], rule);
}

// net allow|deny ADDRESS/PREFIX tcp|udp LOW-HIGH [inspect]
bool NetRule(const Words& w, Rule* rule) {
  if (w.count < 5 || w.count > 6 || (w.count == 6 && !w.Is(5, "inspect"))) return false;
  rule->inspect = w.count == 6;
  rule->kind = Rule::Kind::kNet;
  return Action(w.word[1], rule) && Network(w.word[2], rule) && TransportOf(w.word[3], rule) && Ports(w.word[4], rule);
}

// public allow tcp|udp LOW-HIGH
bool PublicRule(const Words& w, Rule* rule) {
  rule->kind = Rule::Kind::kPublic;
  return w.count == 4 && w.Is(1, "allow") && Action(w.word[1], rule) && TransportOf(w.word[2], rule) &&
         Ports(w.word[3], rule);
}

bool MatchesName(const Rule& rule, const Name& name) {
  switch (rule.kind) {
    case Rule::Kind::kExact:
      return rule.name == name;
    case Rule::Kind::kBelow:
      return IsBelow(name, rule.name);
    case Rule::Kind::kPublic:
      return true;
    case Rule::Kind::kNet:
      return false;
  }
  return false;
}

// ::/0 is written of IPv6 hosts: it does not hold the IPv4 ones that have an IPv6 form here.
bool Holds(const Rule& rule, const IpAddress& address) {
  return rule.kind == Rule::Kind::kNet && rule.net.Is4() == address.Is4() && Within(address, rule.net, rule.prefix);
}

// A network wide enough to hold public addresses was not written with the special ones inside it in mind.
bool MatchesAddress(const Rule& rule, const IpAddress& address) {
  return Holds(rule, address) && (!rule.allow || rule.prefix >= ClassPrefix(address));
}

bool MatchesPort(const Rule& rule, uint16_t port, Transport transport) {
  return rule.transport == transport && port >= rule.low && port <= rule.high;
}

bool AnyPort(const Rule& rule) { return rule.low <= 1 && rule.high == 65535; }

}  // namespace

Rules::~Rules() { free(state_.rules); }

void Rules::Take(Rules* other) {
  free(state_.rules);
  state_ = other->state_;
  other->state_.rules = nullptr;
}

bool Rules::CopyFrom(const Rules& other) {
  auto* copy = static_cast<Rule*>(calloc(other.state_.count + 1, sizeof(Rule)));
  if (copy == nullptr) return false;
  for (size_t i = 0; i < other.state_.count; ++i) copy[i] = other.state_.rules[i];
  state_ = other.state_;
  state_.rules = copy;
  return true;
}

bool Rules::AddRule(const Rule& rule) {
  if (state_.count == kMaxRules) return false;
  auto* grown = static_cast<Rule*>(realloc(static_cast<void*>(state_.rules), (state_.count + 1) * sizeof(Rule)));
  if (grown == nullptr) return false;
  state_.rules = grown;
  state_.rules[state_.count++] = rule;
  return true;
}

bool Rules::AddPort(const char* text, PortList* list) {
  unsigned long port;
  if (!Number(text, 65535, &port) || port == 0 || list->count == kMaxPorts) return false;
  list->port[list->count++] = static_cast<uint16_t>(port);
  return true;
}

bool Rules::ParseLine(char* line) {
  Words w;
  if (!Split(line, &w)) return false;
  if (w.count == 0) return true;
  Rule rule;
  if (w.Is(0, "host")) return HostRule(w, &rule) && AddRule(rule);
  if (w.Is(0, "net")) return NetRule(w, &rule) && AddRule(rule);
  if (w.Is(0, "public")) return PublicRule(w, &rule) && AddRule(rule);
  if (w.count == 1 && w.Is(0, "permissive")) return state_.permissive = true;
  unsigned long number;
  if (w.count != 2) return false;
  if (w.Is(0, "loopback")) return AddPort(w.word[1], &state_.loopback);
  if (w.Is(0, "publish")) return AddPort(w.word[1], &state_.published);
  if (w.Is(0, "permit-udp")) return AddPort(w.word[1], &state_.permitted_udp);
  if (!Number(w.word[1], UINT32_MAX, &number)) return false;
  if (w.Is(0, "max-connections")) {
    state_.max_connections = static_cast<uint32_t>(number);
  } else if (w.Is(0, "ask")) {
    state_.ask_ms = static_cast<uint32_t>(number);
  } else if (w.Is(0, "on-denied") && (number == EACCES || number == ECONNREFUSED || number == ENETUNREACH)) {
    state_.on_denied = static_cast<int>(number);
  } else {
    return false;
  }
  return true;
}

size_t Rules::Parse(const char* text, size_t size, bool add) {
  Rules next;
  if (add && !next.CopyFrom(*this)) return 1;
  size_t number = 0;
  for (size_t at = 0; at < size;) {
    const void* found = memchr(text + at, '\n', size - at);
    size_t end = found == nullptr ? size : static_cast<size_t>(static_cast<const char*>(found) - text);
    char line[kMaxLine];
    ++number;
    if (end - at >= sizeof(line) || memchr(text + at, 0, end - at) != nullptr) return number;
    memcpy(line, text + at, end - at);
    line[end - at] = 0;
    if (!next.ParseLine(line)) return number;
    at = end + 1;
  }
  Take(&next);
  return 0;
}

Judgement Rules::JudgeName(const Name& name, const Name** below) const {
  Judgement judgement;
  judgement.name = &name;
  if (below != nullptr) *below = nullptr;
  for (size_t i = 0; i < state_.count; ++i) {
    const Rule& rule = state_.rules[i];
    if (rule.kind == Rule::Kind::kNet || !MatchesName(rule, name)) continue;
    if (!rule.allow && AnyPort(rule)) {
      judgement = Judgement();
      judgement.reason = "the host is denied";
      judgement.rule = &rule;
      return judgement;
    }
    // The one with the fewest strings attached speaks for it: a wildcard's limits are not for a name that is spelled
    // out.
    if (!rule.allow || (judgement.rule != nullptr && judgement.rule->kind != Rule::Kind::kBelow)) continue;
    judgement.allowed = true;
    judgement.rule = &rule;
  }
  if (!judgement.allowed) {
    judgement.reason = "no rule allows this host";
    judgement.permit = state_.permissive;
    judgement.ask = !judgement.permit && state_.ask_ms > 0;
  } else if (below != nullptr && judgement.rule->kind == Rule::Kind::kBelow) {
    *below = &judgement.rule->name;
  }
  return judgement;
}

bool Rules::Denies(const IpAddress& address, const Name* name, uint16_t port, Transport transport,
                   Judgement* judgement) const {
  for (size_t i = 0; i < state_.count; ++i) {
    const Rule& rule = state_.rules[i];
    if (rule.allow || !MatchesPort(rule, port, transport)) continue;
    bool matches = rule.kind == Rule::Kind::kNet ? Holds(rule, address) : name != nullptr && MatchesName(rule, *name);
    if (!matches) continue;
    judgement->rule = &rule;
    judgement->reason = "the host is denied";
    return true;
  }
  return false;
}

bool Rules::Permits(uint16_t port, Transport transport) const {
  return state_.permissive && (transport == Transport::kTcp || state_.permitted_udp.Has(port));
}

const Rule* Rules::Allowing(const IpAddress& address, const Name* name, uint16_t port, Transport transport) const {
  const Rule* found = nullptr;
  for (size_t i = 0; i < state_.count; ++i) {
    const Rule& rule = state_.rules[i];
    if (!rule.allow || !MatchesPort(rule, port, transport)) continue;
    bool matches = MatchesAddress(rule, address) || (name != nullptr && MatchesName(rule, *name)) ||
                   (rule.kind == Rule::Kind::kPublic && Classify(address) == AddressClass::kPublic);
    // Of several the one that asks for inspection: it is there to be obeyed.
    if (matches && (found == nullptr || (rule.inspect && !found->inspect))) found = &rule;
  }
  return found;
}

// An address that some name was answered with is judged by that name as well as by itself; the first name that opens
// the way is enough, but a denied address or one whose every name is denied stays closed.
Judgement Rules::Judge(const IpAddress& address, uint16_t port, Transport transport, const Records& records,
                       uint64_t now_ms) const {
  Judgement judgement;
  AddressClass c = Classify(address);
  if (c == AddressClass::kLoopback || c == AddressClass::kUnspecified || c == AddressClass::kMulticast || port == 0) {
    judgement.reason = port == 0                       ? "port 0"
                       : c == AddressClass::kMulticast ? "a multicast or broadcast address"
                                                       : "a loopback address";
    return judgement;
  }
  if (Denies(address, nullptr, port, transport, &judgement)) return judgement;
  judgement.rule = Allowing(address, nullptr, port, transport);
  judgement.allowed = judgement.rule != nullptr;
  bool denied = false;
  for (const Record* r = records.Next(address, now_ms); r != nullptr; r = records.Next(address, now_ms, r)) {
    Judgement by_name;
    judgement.name = &r->name;
    if (Denies(address, &r->name, port, transport, &by_name)) {
      denied = true;
      judgement.reason = by_name.reason;
      continue;
    }
    if (!r->trusted && !MayResolveTo(address)) continue;
    const Rule* rule = Allowing(address, &r->name, port, transport);
    if (rule == nullptr) continue;
    judgement.rule = rule;
    judgement.allowed = true;
    judgement.inspect = rule->inspect;
    judgement.reason = "";
    return judgement;
  }
  if (judgement.allowed && !denied) {
    judgement.inspect = judgement.rule->inspect;
    return judgement;
  }
  judgement.allowed = false;
  if (denied) return judgement;
  judgement.permit = c == AddressClass::kPublic && Permits(port, transport);
  judgement.ask = !judgement.permit && state_.ask_ms > 0;
  judgement.reason = judgement.name != nullptr    ? "no rule allows this port of the host"
                     : c != AddressClass::kPublic ? "no rule allows this private or reserved address"
                                                  : "no rule allows this host";
  return judgement;
}

bool Rules::MayResolveTo(const IpAddress& address) const {
  if (Classify(address) == AddressClass::kPublic) return true;
  for (size_t i = 0; i < state_.count; ++i) {
    if (state_.rules[i].allow && MatchesAddress(state_.rules[i], address)) return true;
  }
  return false;
}

bool Rules::PortList::Has(uint16_t wanted) const {
  for (size_t i = 0; i < count; ++i) {
    if (port[i] == wanted) return true;
  }
  return false;
}

}  // namespace qi
