// Any bytes as a socket address and as texts of an event: what is written is one line of valid JSON, and what a rule
// allows is an address that it may allow.
#include <cstdlib>
#include <cstring>

#include "json_line.h"
#include "monitor/decode.h"
#include "network/rules.h"

namespace {

void Judge(const qi::Address& address) {
  static qi::Rules rules;
  static qi::Records records;
  static const char kText[] = "net allow 0.0.0.0/0 tcp 1-65535\nnet allow ::/0 tcp 1-65535\npublic allow tcp 1-65535\n";
  static bool parsed = rules.Parse(kText, sizeof(kText) - 1, false) == 0;
  qi::IpAddress ip, again;
  uint16_t port, same_port;
  if (!parsed || !qi::FromSockaddr(&address.storage, address.length, &ip, &port)) return;
  bool allowed = rules.Judge(ip, port, qi::Transport::kTcp, records, 1).allowed;
  if (allowed != (port != 0 && qi::Classify(ip) == qi::AddressClass::kPublic)) abort();
  if (allowed && qi::IsOwnLoopback(ip)) abort();
  sockaddr_storage copy;
  socklen_t length = qi::ToSockaddr(ip, port, ip.Is4() ? AF_INET : AF_INET6, &copy);
  if (!qi::FromSockaddr(&copy, length, &again, &same_port) || !(again == ip) || same_port != port) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  uint32_t length;
  memcpy(&length, data, sizeof(length));
  data += 4;
  size -= 4;
  qi::Address address;
  address.readable = true;
  address.length = length % (sizeof(address.storage) + 1);
  memcpy(&address.storage, data, size < sizeof(address.storage) ? size : sizeof(address.storage));
  Judge(address);

  static qi::JsonWriter json;
  json.Clear();
  json.Open('{');
  json.Key("address");
  json.Open('{');
  qi::DescribeAddress(address, &json);
  json.Close('}');
  json.Key("list");
  json.Open('[');
  json.String(reinterpret_cast<const char*>(data), size);
  json.Hex(length);
  json.Number(static_cast<int32_t>(length));
  json.Close(']');
  json.Close('}');
  if (!json.overflow() && !IsJsonLine(json.data(), json.size())) abort();
  return 0;
}
