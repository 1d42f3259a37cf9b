// References inside a plan: offset and length into the same buffer, checked once (CheckRef) before anything is read
// through them. May run in: addon, monitor, child.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace qi {

// Bytes followed by a NUL that is not counted; no NUL inside.
struct PlanString {
  uint32_t offset;
  uint32_t length;
};

struct PlanBytes {
  uint32_t offset;
  uint32_t length;
};

template <typename T>
struct PlanList {
  uint32_t offset;
  uint32_t count;
};

struct PlanBlob {
  const uint8_t* data = nullptr;
  size_t size = 0;
  // References may overlap, so a small hostile plan could ask for quadratic work; a plan of ours spends about its size.
  mutable size_t budget = 0;

  bool Spend(size_t bytes) const {
    if (bytes > budget) return false;
    budget -= bytes;
    return true;
  }
};

template <typename T>
struct Span {
  const T* data;
  size_t size;
  const T* begin() const { return data; }
  const T* end() const { return data + size; }
  const T& operator[](size_t i) const { return data[i]; }
};

inline bool InBounds(const PlanBlob& blob, uint64_t offset, uint64_t bytes) {
  return offset <= blob.size && bytes <= blob.size - offset;
}

inline bool CheckRef(const PlanBlob& blob, const PlanString& v) {
  if (!InBounds(blob, v.offset, static_cast<uint64_t>(v.length) + 1)) return false;
  if (!blob.Spend(v.length + 1)) return false;
  const uint8_t* s = blob.data + v.offset;
  return s[v.length] == 0 && memchr(s, 0, v.length) == nullptr;
}

inline bool CheckRef(const PlanBlob& blob, const PlanBytes& v) {
  return v.offset % 8 == 0 && InBounds(blob, v.offset, v.length) && blob.Spend(v.length);
}

inline bool CheckRefs(const PlanBlob& blob, const PlanString& v) { return CheckRef(blob, v); }

template <typename T>
bool CheckListRef(const PlanBlob& blob, const PlanList<T>& v, uint32_t max_items) {
  if (v.count > max_items || v.offset % 8 != 0) return false;
  uint64_t bytes = static_cast<uint64_t>(v.count) * sizeof(T);
  return InBounds(blob, v.offset, bytes) && blob.Spend(bytes);
}

inline const char* Str(const PlanBlob& blob, const PlanString& v) {
  return reinterpret_cast<const char*>(blob.data + v.offset);
}

inline Span<uint8_t> Bytes(const PlanBlob& blob, const PlanBytes& v) { return {blob.data + v.offset, v.length}; }

template <typename T>
Span<T> List(const PlanBlob& blob, const PlanList<T>& v) {
  return {reinterpret_cast<const T*>(blob.data + v.offset), v.count};
}

}  // namespace qi
