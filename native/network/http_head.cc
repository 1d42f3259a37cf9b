#include <strings.h>

#include <cstring>

#include "network/tls_hello.h"

namespace qi {
namespace {

constexpr size_t kMaxMethod = 32;

struct Text {
  const char* at;
  size_t size;

  Text From(size_t n) const { return {at + n, size - n}; }
  Text Until(size_t n) const { return {at, n}; }
  size_t Find(char c) const {
    const void* found = size > 0 ? memchr(at, c, size) : nullptr;
    return found != nullptr ? static_cast<size_t>(static_cast<const char*>(found) - at) : size;
  }
  bool Is(const char* word) const { return size == strlen(word) && memcmp(at, word, size) == 0; }
  bool IsAnyCase(const char* word) const { return size == strlen(word) && strncasecmp(at, word, size) == 0; }
  bool StartsAnyCase(const char* word) const {
    return size >= strlen(word) && strncasecmp(at, word, strlen(word)) == 0;
  }
};

bool IsTokenByte(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != nullptr);
}

bool IsToken(const Text& text) {
  for (size_t i = 0; i < text.size; ++i) {
    if (!IsTokenByte(text.at[i])) return false;
  }
  return text.size > 0;
}

bool ReadPort(const Text& text, uint16_t* port) {
  uint32_t value = 0;
  if (text.size == 0 || text.size > 5 || text.at[0] == '0') return false;
  for (size_t i = 0; i < text.size; ++i) {
    if (text.at[i] < '0' || text.at[i] > '9') return false;
    value = value * 10 + static_cast<uint32_t>(text.at[i] - '0');
  }
  *port = static_cast<uint16_t>(value);
  return value <= 65535;
}

bool ReadAddress(const Text& text, IpAddress* address) {
  char copy[INET6_ADDRSTRLEN];
  if (text.size >= sizeof(copy)) return false;
  memcpy(copy, text.at, text.size);
  copy[text.size] = 0;
  return ParseAddress(copy, address);
}

// NAME, IPv4 or [IPv6], and maybe :PORT. No user, no empty port, no zone of an address.
bool ReadHost(const Text& text, HttpHost* host) {
  bool bracket = text.size > 0 && text.at[0] == '[';
  size_t end = bracket ? text.Find(']') : text.Find(':');
  if (bracket && end == text.size) return false;
  Text name = bracket ? text.Until(end).From(1) : text.Until(end);
  Text rest = text.From(bracket ? end + 1 : end);
  if (rest.size > 0 && (rest.at[0] != ':' || !ReadPort(rest.From(1), &host->port))) return false;
  if (bracket && name.Find(':') == name.size) return false;  // and with one it is no name
  host->is_address = ReadAddress(name, &host->address);
  return host->is_address || ParseName(name.at, name.size, &host->name);
}

bool ReadTarget(const Text& method, const Text& target, HttpHead* head) {
  for (size_t i = 0; i < target.size; ++i) {
    auto c = static_cast<unsigned char>(target.at[i]);
    if (c <= ' ' || c >= 0x7f || c == '#') return false;
  }
  head->connect = method.Is("CONNECT");
  if (head->connect) {
    head->has_target = true;
    return ReadHost(target, &head->target) && head->target.port != 0;
  }
  if (target.size > 0 && target.at[0] == '/') return true;
  if (method.Is("OPTIONS") && target.Is("*")) return true;
  head->target_https = target.StartsAnyCase("https://");
  if (!head->target_https && !target.StartsAnyCase("http://")) return false;
  head->has_target = true;
  Text rest = target.From(strlen(head->target_https ? "https://" : "http://"));
  size_t path = rest.Find('/'), query = rest.Find('?');
  return ReadHost(rest.Until(path < query ? path : query), &head->target);
}

// METHOD SP TARGET SP HTTP/1.x: anything else is another protocol, HTTP/2 among them, whose names we cannot see.
HelloResult ReadRequestLine(const Text& line, HttpHead* head) {
  size_t first = line.Find(' ');
  if (first == line.size) return HelloResult::kOther;
  Text method = line.Until(first), rest = line.From(first + 1);
  size_t second = rest.Find(' ');
  if (second == rest.size) return HelloResult::kOther;
  Text target = rest.Until(second), version = rest.From(second + 1);
  if (!version.Is("HTTP/1.1") && !version.Is("HTTP/1.0")) return HelloResult::kOther;
  return ReadTarget(method, target, head) ? HelloResult::kGood : HelloResult::kMalformed;
}

// A name right at the line's start with the colon right after it: no folded line, nothing that one server would take
// for a Host and another one not.
bool ReadField(const Text& line, bool* has_host, HttpHead* head) {
  size_t colon = line.Find(':');
  if (colon == line.size || !IsToken(line.Until(colon))) return false;
  Text value = line.From(colon + 1);
  for (size_t i = 0; i < value.size; ++i) {
    auto c = static_cast<unsigned char>(value.at[i]);
    if ((c < ' ' && c != '\t') || c == 0x7f) return false;  // NUL and a CR of its own too
  }
  if (!line.Until(colon).IsAnyCase("host")) return true;
  while (value.size > 0 && (value.at[0] == ' ' || value.at[0] == '\t')) value = value.From(1);
  while (value.size > 0 && (value.at[value.size - 1] == ' ' || value.at[value.size - 1] == '\t')) --value.size;
  if (*has_host) return false;
  *has_host = true;
  return ReadHost(value, &head->host);
}

// The line without its CR LF. False: it ends in a bare LF, which some servers take for an end and some do not.
bool TakeLine(Text* rest, Text* line) {
  size_t end = rest->Find('\n');
  if (end == rest->size || end == 0 || rest->at[end - 1] != '\r') return false;
  *line = rest->Until(end - 1);
  *rest = rest->From(end + 1);
  return true;
}

// Looks for a bare LF too, so that a head that is wrong in this way ends as well.
bool IsWhole(const Text& text) {
  return memmem(text.at, text.size, "\n\r\n", 3) != nullptr || memmem(text.at, text.size, "\n\n", 2) != nullptr;
}

// What can be said before the first line is whole.
HelloResult CheckBeginning(const Text& text) {
  size_t method = 0;
  while (method < text.size && method <= kMaxMethod && IsTokenByte(text.at[method])) ++method;
  if (method > kMaxMethod) return HelloResult::kOther;
  if (method == text.size) return HelloResult::kNeedMore;
  return method > 0 && text.at[method] == ' ' ? HelloResult::kGood : HelloResult::kOther;
}

HelloResult Parse(const Text& text, HttpHead* head) {
  HelloResult result = CheckBeginning(text);
  if (result != HelloResult::kGood) return result;
  Text rest = text, line;
  if (rest.Find('\n') == rest.size) return HelloResult::kNeedMore;
  if (!TakeLine(&rest, &line)) return HelloResult::kMalformed;
  result = ReadRequestLine(line, head);
  if (result != HelloResult::kGood) return result;
  if (!IsWhole(text)) return HelloResult::kNeedMore;
  for (bool has_host = false;;) {
    if (!TakeLine(&rest, &line)) return HelloResult::kMalformed;
    if (line.size == 0) {
      head->size = text.size - rest.size;
      return has_host ? HelloResult::kGood : HelloResult::kMalformed;
    }
    if (!ReadField(line, &has_host, head)) return HelloResult::kMalformed;
  }
}

}  // namespace

HelloResult ParseHttpHead(const void* bytes, size_t size, HttpHead* head) {
  *head = HttpHead();
  Text text = {static_cast<const char*>(bytes), size < kMaxFirstBytes ? size : kMaxFirstBytes};
  HelloResult result = Parse(text, head);
  if (result == HelloResult::kNeedMore && size >= kMaxFirstBytes) result = HelloResult::kMalformed;
  if (result != HelloResult::kGood) *head = HttpHead();
  return result;
}

}  // namespace qi
