#include "binding/keep.h"

#include "cache/facts.h"
#include "cache/looks.h"
#include "cache/secret.h"
#include "core/siphash.h"

// null when this caller's plans are not kept.
Napi::Value CallerFacts(const Napi::CallbackInfo& info) {
  char facts[qi::kFactsBytes];
  size_t size = qi::CallerFacts(facts);
  if (size == 0) return info.Env().Null();
  return Napi::Buffer<uint8_t>::Copy(info.Env(), reinterpret_cast<const uint8_t*>(facts), size);
}

// null where there is none, and none can be made.
Napi::Value CacheSecret(const Napi::CallbackInfo& info) {
  qi::Secret secret;
  if (!qi::MakeSecret(qi::OpenSecretFolder().get(), secret)) return info.Env().Null();
  return Napi::Buffer<uint8_t>::Copy(info.Env(), secret, sizeof(secret));
}

// 16 bytes; null for a key of another length.
Napi::Value KeyedHash(const Napi::CallbackInfo& info) {
  if (info.Length() < 2 || !info[0].IsBuffer() || !info[1].IsBuffer()) return info.Env().Null();
  auto key = info[0].As<Napi::Buffer<uint8_t>>();
  auto data = info[1].As<Napi::Buffer<uint8_t>>();
  if (key.Length() != qi::kSipKeyBytes) return info.Env().Null();
  uint8_t hash[qi::kSipHashBytes];
  qi::SipHash(key.Data(), data.Data(), data.Length(), hash);
  return Napi::Buffer<uint8_t>::Copy(info.Env(), hash, sizeof(hash));
}

Napi::Value AreAsBefore(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsBuffer()) return Napi::Boolean::New(info.Env(), false);
  auto noted = info[0].As<Napi::Buffer<uint8_t>>();
  return Napi::Boolean::New(info.Env(), qi::NotedAreAsBefore(noted.Data(), noted.Length()));
}
