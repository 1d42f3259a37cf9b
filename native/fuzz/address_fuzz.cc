// Any bytes as a socket address and as texts of an event: what is written is one line of valid JSON.
#include <cstdlib>
#include <cstring>

#include "json_line.h"
#include "monitor/decode.h"

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
