#include "cache/looks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstring>

#include "core/fd.h"

namespace qi {
namespace {

bool IsAbsent(const char* path) {
  struct stat st;
  return lstat(path, &st) != 0;
}

// "a\0b\0"
bool AreAbsent(const char* folder, const Span<uint8_t>& names) {
  if (names.size == 0 || names.data[names.size - 1] != 0) return false;
  const auto* name = reinterpret_cast<const char*>(names.data);
  for (const char* end = name + names.size; name < end; name += strlen(name) + 1) {
    char path[PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (length >= static_cast<int>(sizeof(path)) || !IsAbsent(path)) return false;
  }
  return true;
}

bool LooksAlike(const PlanBlob& blob, const CacheLook& look, const char* path) {
  struct stat st;
  if (lstat(path, &st) != 0) return false;
  if (st.st_dev != look.dev || st.st_ino != look.ino || st.st_mode != look.mode) return false;
  if (st.st_uid != look.uid || st.st_gid != look.gid) return false;
  if (look.kind == LookKind::kStatus) return true;
  uint64_t changed = static_cast<uint64_t>(st.st_ctim.tv_sec) * 1000000000u + static_cast<uint64_t>(st.st_ctim.tv_nsec);
  if (look.kind == LookKind::kWhole) return static_cast<uint64_t>(st.st_size) == look.length && changed == look.changed;
  // A name that comes is a change of its folder; not every change of the folder is such a name.
  return changed == look.changed || AreAbsent(path, Bytes(blob, look.value));
}

// Small files of the kernel, which have no change time.
bool SaysTheSame(const PlanBlob& blob, const CacheLook& look, const char* path) {
  UniqueFd fd(openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd || look.mode == 0) return !fd && look.mode == 0;
  const Span<uint8_t> was = Bytes(blob, look.value);
  char chunk[4096];
  for (size_t at = 0;;) {
    ssize_t n = RetryEintr([&] { return read(fd.get(), chunk, sizeof(chunk)); });
    if (n <= 0) return n == 0 && at == was.size;
    auto count = static_cast<size_t>(n);
    if (count > was.size - at || memcmp(was.data + at, chunk, count) != 0) return false;
    at += count;
  }
}

bool HasAttribute(const PlanBlob& blob, const CacheLook& look, const char* path) {
  char value[256];
  ssize_t n = lgetxattr(path, Str(blob, look.name), value, sizeof(value) - 1);
  if (n < 0 || look.mode == 0) return n < 0 && look.mode == 0;
  return look.value.length == static_cast<size_t>(n) &&
         memcmp(Bytes(blob, look.value).data, value, look.value.length) == 0;
}

bool IsAsBefore(const PlanBlob& blob, const CacheLook& look) {
  const char* path = Str(blob, look.path);
  switch (look.kind) {
    case LookKind::kText:
      return SaysTheSame(blob, look, path);
    case LookKind::kWritable:
      return (access(path, W_OK) == 0) == (look.mode == 1);
    case LookKind::kAttribute:
      return HasAttribute(blob, look, path);
    case LookKind::kAbsent:
      return IsAbsent(path);
    case LookKind::kStatus:
    case LookKind::kWhole:
    case LookKind::kWithout:
      return LooksAlike(blob, look, path);
  }
  return false;
}

}  // namespace

bool AreAsBefore(const PlanBlob& blob, const PlanList<CacheLook>& looks) {
  for (const CacheLook& look : List(blob, looks)) {
    if (!IsAsBefore(blob, look)) return false;
  }
  return true;
}

bool NotedAreAsBefore(const uint8_t* data, size_t size) {
  if (size < sizeof(CacheLooks) || reinterpret_cast<uintptr_t>(data) % 8 != 0) return false;
  const PlanBlob blob = {data, size, size * 4};
  const auto* noted = reinterpret_cast<const CacheLooks*>(data);
  return CheckRefs(blob, *noted) && AreAsBefore(blob, noted->looks);
}

}  // namespace qi
