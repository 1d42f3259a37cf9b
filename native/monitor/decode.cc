#include "monitor/decode.h"

#include <arpa/inet.h>

#include <cstddef>
#include <cstdio>
#include <cstring>

#include "monitor/decode_tables.h"
#include "monitor/target.h"

namespace qi {
namespace {

void DescribeFlags(uint64_t value, const FlagName* table, JsonWriter* json) {
  char text[512];
  size_t at = 0;
  text[0] = 0;
  uint64_t rest = value;
  for (const FlagName* f = table; f->name != nullptr; ++f) {
    bool holds = f->mask == 0 ? rest == f->value && value == f->value : (value & f->mask) == f->value;
    if (!holds || (f->mask != 0 && (rest & f->mask) == 0 && f->value != 0)) continue;
    at += static_cast<size_t>(snprintf(text + at, sizeof(text) - at, "%s%s", at != 0 ? "|" : "", f->name));
    if (at >= sizeof(text) - 32) break;
    rest &= ~(f->mask == 0 ? value : f->mask);
  }
  if (rest != 0 || at == 0)
    snprintf(text + at, sizeof(text) - at, "%s0x%llx", at != 0 ? "|" : "", static_cast<unsigned long long>(rest));
  json->String(text);
}

void DescribePath(pid_t tid, uint64_t pointer, JsonWriter* json) {
  char text[1024];
  if (pointer == 0) return json->Raw("null");
  long n = ReadText(tid, pointer, text, sizeof(text));
  if (n == -1) return json->String("(unreadable)");
  json->String(text, strlen(text));
}

void DescribeArgument(const ArgumentSpec& spec, const seccomp_notif& request, int index, JsonWriter* json,
                      const Address* known) {
  uint64_t value = request.data.args[index];
  pid_t tid = static_cast<pid_t>(request.pid);
  char text[32];
  switch (spec.type) {
    case ArgType::kInt:
      return json->Number(static_cast<int32_t>(value));
    case ArgType::kLong:
      return json->Number(static_cast<int64_t>(value));
    case ArgType::kHex:
      return json->Hex(value);
    case ArgType::kMode:
      snprintf(text, sizeof(text), "0%o", static_cast<unsigned>(value & 07777777));
      return json->String(text);
    case ArgType::kDirFd:
      if (static_cast<int32_t>(value) == -100) return json->String("AT_FDCWD");
      return json->Number(static_cast<int32_t>(value));
    case ArgType::kPath:
      return DescribePath(tid, value, json);
    case ArgType::kFlags:
      return DescribeFlags(value & 0xffffffffu, spec.flags, json);
    case ArgType::kAddress: {
      json->Open('{');
      DescribeAddress(known != nullptr ? *known : ReadAddress(tid, value, request.data.args[index + 1]), json);
      return json->Close('}');
    }
  }
}

void DescribeUnix(const Address& address, JsonWriter* json) {
  sockaddr_un un;
  memcpy(&un, &address.storage, sizeof(un));
  size_t room = address.length > offsetof(sockaddr_un, sun_path) ? address.length - offsetof(sockaddr_un, sun_path) : 0;
  if (room > sizeof(un.sun_path)) room = sizeof(un.sun_path);
  json->Pair("family", "AF_UNIX");
  if (room == 0) return;
  bool abstract = un.sun_path[0] == 0;
  json->Key(abstract ? "abstract" : "path");
  json->String(un.sun_path + (abstract ? 1 : 0), abstract ? room - 1 : strnlen(un.sun_path, room));
}

}  // namespace

Address ReadAddress(pid_t tid, uint64_t pointer, uint64_t length) {
  Address address;
  // The kernel takes addrlen as an int and refuses what does not fit sockaddr_storage. move_addr_to_kernel()
  auto size = static_cast<uint32_t>(length);
  if (pointer == 0 || size > sizeof(address.storage)) return address;
  address.readable = ReadMemory(tid, pointer, &address.storage, size) == size;
  address.length = size;
  return address;
}

void DescribeAddress(const Address& address, JsonWriter* json) {
  char text[INET6_ADDRSTRLEN] = "";
  switch (address.family()) {
    case AF_UNIX:
      return DescribeUnix(address, json);
    case AF_INET: {
      sockaddr_in in;
      memcpy(&in, &address.storage, sizeof(in));
      json->Pair("family", "AF_INET");
      json->Pair("address", inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text)));
      return json->Pair("port", ntohs(in.sin_port));
    }
    case AF_INET6: {
      sockaddr_in6 in6;
      memcpy(&in6, &address.storage, sizeof(in6));
      json->Pair("family", "AF_INET6");
      json->Pair("address", inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof(text)));
      return json->Pair("port", ntohs(in6.sin6_port));
    }
    case -1:
      return json->Pair("family", "(unreadable)");
    default:
      return json->Pair("family", address.family());
  }
}

void DescribeArguments(const char* name, const seccomp_notif& request, JsonWriter* json, const Address* known) {
  const CallSpec* call = FindCall(name);
  if (call == nullptr) {
    const char* names[] = {"arg0", "arg1", "arg2", "arg3", "arg4", "arg5"};
    for (int i = 0; i < 6; ++i) {
      json->Key(names[i]);
      json->Hex(request.data.args[i]);
    }
    return;
  }
  for (int i = 0; i < 6 && call->arguments[i].name != nullptr; ++i) {
    json->Key(call->arguments[i].name);
    DescribeArgument(call->arguments[i], request, i, json, known);
  }
}

}  // namespace qi
