#include "cache/entry.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "cache/looks.h"
#include "core/plan.h"

namespace qi {
namespace {

constexpr uint32_t kUidRange = 65536;
constexpr size_t kSessionLength = 36;
constexpr size_t kTempLength = 16;

bool Holds(const PlanBlob& blob, const PlanBytes& ref, const void* data, size_t size) {
  return ref.length == size && memcmp(blob.data + ref.offset, data, size) == 0;
}

// Of `NAME=VALUE` the value, when it is about `name`.
const char* ValueOf(const char* variable, const char* name, size_t length) {
  return strncmp(variable, name, length) == 0 && variable[length] == '=' ? variable + length + 1 : nullptr;
}

// Null for none; `*twice` where a name is there more than once, of which every program takes another one.
const char* Find(const char* const* variables, const char* name, bool* twice) {
  const char* found = nullptr;
  size_t length = strlen(name);
  for (; *variables != nullptr; ++variables) {
    const char* value = ValueOf(*variables, name, length);
    if (value != nullptr && found != nullptr) *twice = true;
    if (value != nullptr && found == nullptr) found = value;
  }
  return found;
}

bool IsListed(const PlanBlob& blob, const CacheEntry& entry, const char* variable) {
  for (const CacheVariable& one : List(blob, entry.variables)) {
    if (ValueOf(variable, Str(blob, one.name), one.name.length) != nullptr) return true;
  }
  return false;
}

bool SameVariables(const PlanBlob& blob, const CacheEntry& entry, const char* const* variables) {
  for (const CacheVariable& one : List(blob, entry.variables)) {
    bool twice = false;
    const char* now = Find(variables, Str(blob, one.name), &twice);
    if (twice || (now == nullptr) != (one.kind == VariableKind::kAbsent)) return false;
    if (one.kind == VariableKind::kSame && strcmp(now, Str(blob, one.value)) != 0) return false;
  }
  // Names that are passed on by a pattern (PASSED in src/profile/environment.ts): a new one would be missing.
  for (; *variables != nullptr; ++variables) {
    if (strncmp(*variables, "LC_", 3) == 0 && !IsListed(blob, entry, *variables)) return false;
  }
  return true;
}

void WriteHex(uint8_t* out, const uint8_t* bytes, size_t count) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (size_t i = 0; i < count; ++i) {
    out[2 * i] = static_cast<uint8_t>(kDigits[bytes[i] >> 4]);
    out[2 * i + 1] = static_cast<uint8_t>(kDigits[bytes[i] & 15]);
  }
}

// RFC 9562, version 4.
void WriteSession(uint8_t* out, const uint8_t* random) {
  uint8_t id[16];
  memcpy(id, random, sizeof(id));
  id[6] = static_cast<uint8_t>((id[6] & 0x0f) | 0x40);
  id[8] = static_cast<uint8_t>((id[8] & 0x3f) | 0x80);
  size_t at = 0, from = 0;
  for (size_t part : {4, 2, 2, 2, 6}) {
    WriteHex(out + at, id + from, part);
    at += 2 * part;
    from += part;
    if (at < kSessionLength) out[at++] = '-';
  }
}

bool FillIn(const PlanBlob& blob, const CacheEntry& entry, const Drawn& drawn, uint8_t* plan, size_t size) {
  auto fits = [size](uint64_t at, size_t length) {
    return at >= sizeof(Plan) && length <= size && at <= size - length;
  };
  if (!fits(entry.session_at, kSessionLength)) return false;
  WriteSession(plan + entry.session_at, drawn.bytes);
  for (uint32_t i = 0; i + sizeof(uint32_t) <= entry.temp_at.length; i += sizeof(uint32_t)) {
    uint32_t at;
    memcpy(&at, blob.data + entry.temp_at.offset + i, sizeof(at));
    if (!fits(at, kTempLength)) return false;
    WriteHex(plan + at, drawn.bytes + 16, kTempLength / 2);
  }
  if (entry.first_uid == 0) return true;
  uint32_t random;
  memcpy(&random, drawn.bytes + 24, sizeof(random));
  auto* head = reinterpret_cast<Plan*>(plan);
  head->uid_outside = head->gid_outside = entry.first_uid + random % kUidRange;
  return true;
}

// `NAME=VALUE` of now, appended behind the plan, in place of what the variable said then.
struct Appender {
  uint8_t* plan;
  size_t size;
  size_t room;

  bool Replace(uint32_t index, const char* variable) {
    auto* head = reinterpret_cast<Plan*>(plan);
    const PlanBlob blob = {plan, size, size};
    size_t length = strlen(variable);
    if (!CheckListRef(blob, head->envp, kPlanMaxItems) || index >= head->envp.count || length + 1 > room - size)
      return false;
    reinterpret_cast<PlanString*>(plan + head->envp.offset)[index] = {static_cast<uint32_t>(size),
                                                                      static_cast<uint32_t>(length)};
    memcpy(plan + size, variable, length + 1);
    size += length + 1;
    return true;
  }
};

const char* Whole(const char* const* variables, const char* name) {
  size_t length = strlen(name);
  for (; *variables != nullptr; ++variables) {
    if (ValueOf(*variables, name, length) != nullptr) return *variables;
  }
  return nullptr;
}

size_t RoomForVariables(const PlanBlob& blob, const CacheEntry& entry, const Caller& caller) {
  size_t room = 0;
  for (const CacheVariable& one : List(blob, entry.variables)) {
    const char* now = one.kind == VariableKind::kPassed ? Whole(caller.variables, Str(blob, one.name)) : nullptr;
    if (now != nullptr) room += strlen(now) + 1;
  }
  return room;
}

}  // namespace

const CacheEntry* ReadEntry(const uint8_t* data, size_t size, const uint8_t* secret, PlanBlob* blob) {
  if (size < sizeof(CacheEntry) + kSipHashBytes || size > kCacheMaxBytes) return nullptr;
  size_t signed_size = size - kSipHashBytes;
  uint8_t code[kSipHashBytes];
  SipHash(secret, data, signed_size, code);
  if (memcmp(code, data + signed_size, sizeof(code)) != 0) return nullptr;
  *blob = PlanBlob{data, signed_size, signed_size * 4};
  const auto* entry = reinterpret_cast<const CacheEntry*>(data);
  if (entry->magic != kCacheMagic || entry->version != kCacheFormat || entry->size != signed_size) return nullptr;
  return CheckRefs(*blob, *entry) ? entry : nullptr;
}

bool IsCurrent(const PlanBlob& blob, const CacheEntry& entry, const Caller& caller) {
  if (!Holds(blob, entry.key, caller.key, caller.key_size)) return false;
  if (!Holds(blob, entry.facts, caller.facts, caller.facts_size)) return false;
  if (!SameVariables(blob, entry, caller.variables)) return false;
  return AreAsBefore(blob, entry.looks);
}

uint8_t* AssemblePlan(const PlanBlob& blob, const CacheEntry& entry, const Caller& caller, const Drawn& drawn,
                      size_t* size) {
  const Span<uint8_t> was = Bytes(blob, entry.plan);
  size_t room = was.size + RoomForVariables(blob, entry, caller);
  if (was.size < sizeof(Plan) || room > kPlanMaxBytes) return nullptr;
  auto* plan = static_cast<uint8_t*>(malloc(room));
  if (plan == nullptr) return nullptr;
  memcpy(plan, was.data, was.size);
  Appender appender = {plan, was.size, room};
  bool ok = FillIn(blob, entry, drawn, plan, was.size);
  for (const CacheVariable& one : List(blob, entry.variables)) {
    if (one.kind != VariableKind::kPassed) continue;
    const char* now = Whole(caller.variables, Str(blob, one.name));
    ok = ok && now != nullptr && appender.Replace(one.at, now);
  }
  reinterpret_cast<Plan*>(plan)->size = static_cast<uint32_t>(appender.size);
  if (!ok) {
    free(plan);
    return nullptr;
  }
  *size = appender.size;
  return plan;
}

}  // namespace qi
