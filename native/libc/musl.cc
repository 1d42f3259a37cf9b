// What qi-monitor needs beside musl: memory by the standard's names, as there is no libstdc++ of musl, and the checks
// that native/libc/musl.h leaves to the running program. May run in: monitor, child.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

void RequireRoom(size_t size, size_t room) {
  if (size > room) __builtin_trap();
}

}  // namespace

const std::nothrow_t std::nothrow{};

void* operator new(size_t size, const std::nothrow_t&) noexcept { return malloc(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return malloc(size); }
void operator delete(void* memory) noexcept { free(memory); }
void operator delete[](void* memory) noexcept { free(memory); }
void operator delete(void* memory, size_t) noexcept { free(memory); }
void operator delete[](void* memory, size_t) noexcept { free(memory); }

extern "C" {

void* __memcpy_chk(void* to, const void* from, size_t size, size_t room) noexcept {
  RequireRoom(size, room);
  return memcpy(to, from, size);
}

void* __memmove_chk(void* to, const void* from, size_t size, size_t room) noexcept {
  RequireRoom(size, room);
  return memmove(to, from, size);
}

void* __memset_chk(void* to, int byte, size_t size, size_t room) noexcept {
  RequireRoom(size, room);
  return memset(to, byte, size);
}

int __snprintf_chk(char* to, size_t size, int, size_t room, const char* format, ...) noexcept {
  RequireRoom(size, room);
  va_list values;
  va_start(values, format);
  int length = vsnprintf(to, size, format, values);
  va_end(values);
  return length;
}
}
