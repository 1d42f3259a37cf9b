#include "gateway/said_host.h"

namespace qi {
namespace {

bool Same(const HttpHost& a, const HttpHost& b) {
  return a.is_address == b.is_address && (a.is_address ? a.address == b.address : a.name == b.name);
}

void FromHttp(const HttpHead& head, SaidHost* said) {
  said->name = head.host.name;
  said->is_address = head.host.is_address;
  said->address = head.host.address;
  if (head.connect) said->fault = "an HTTP CONNECT";
  // Some servers go by the one, some by the other.
  else if (head.has_target && !Same(head.host, head.target))
    said->fault = "the request's target is not its Host";
}

}  // namespace

bool ReadSaidHost(const uint8_t* bytes, size_t size, SaidHost* said) {
  ClientHello hello;
  HelloResult result = ParseClientHello(bytes, size, &hello);
  if (result == HelloResult::kGood) {
    said->name = hello.name;
    if (hello.name.empty()) said->fault = "its TLS handshake names no host";
    if (hello.encrypted) said->fault = "its TLS handshake may hide another host (ECH)";
    return true;
  }
  if (result == HelloResult::kOther) {
    HttpHead head;
    result = ParseHttpHead(bytes, size, &head);
    if (result == HelloResult::kGood)
      FromHttp(head, said);
    else if (result == HelloResult::kOther)
      said->fault = "neither TLS nor HTTP";
  }
  if (result == HelloResult::kMalformed) said->fault = "its first bytes are malformed";
  return result != HelloResult::kNeedMore;
}

}  // namespace qi
