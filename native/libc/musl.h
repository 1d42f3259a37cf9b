// Included before every source of qi-monitor that is built with musl (cmake/QiMusl.cmake). May run in: monitor, child.
#pragma once
#include <stddef.h>

// The compiler's C++ headers were configured for glibc and ask for its version.
#define __GLIBC_PREREQ(major, minor) 0

// What _FORTIFY_SOURCE checks with glibc, for the calls whose size is known when it runs only: memory that the compiler
// knows the size of is not written beyond it. https://gcc.gnu.org/onlinedocs/gcc/Object-Size-Checking.html
extern "C" {
void* __memcpy_chk(void* to, const void* from, size_t size, size_t room) noexcept;
void* __memmove_chk(void* to, const void* from, size_t size, size_t room) noexcept;
void* __memset_chk(void* to, int byte, size_t size, size_t room) noexcept;
int __snprintf_chk(char* to, size_t size, int flags, size_t room, const char* format, ...) noexcept
    __attribute__((format(printf, 5, 6)));

#define QI_CHECKED extern inline __attribute__((always_inline, gnu_inline, artificial))
QI_CHECKED void* memcpy(void* __restrict to, const void* __restrict from, size_t size) noexcept {
  return __builtin___memcpy_chk(to, from, size, __builtin_object_size(to, 0));
}
QI_CHECKED void* memmove(void* to, const void* from, size_t size) noexcept {
  return __builtin___memmove_chk(to, from, size, __builtin_object_size(to, 0));
}
QI_CHECKED void* memset(void* to, int byte, size_t size) noexcept {
  return __builtin___memset_chk(to, byte, size, __builtin_object_size(to, 0));
}
__attribute__((format(printf, 3, 4))) QI_CHECKED int snprintf(char* __restrict to, size_t size,
                                                              const char* __restrict format, ...) noexcept {
  return __builtin___snprintf_chk(to, size, 1, __builtin_object_size(to, 1), format, __builtin_va_arg_pack());
}
#undef QI_CHECKED
}
