// The one line that an act prints. Runs in: the payload of an escape test, or bare for its control.
#pragma once
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <vector>

#include "core/errno_names.h"

namespace act {

using Words = std::vector<std::string>;

// By write(2): what is printed must be out before whatever the act has set in motion ends the process.
[[gnu::format(printf, 2, 0)]] inline void Line(const char* head, const char* format, va_list arguments) {
  char text[600];
  int n = snprintf(text, sizeof(text), "%s", head);
  if (format != nullptr) {
    text[n++] = ' ';
    n += vsnprintf(text + n, sizeof(text) - static_cast<size_t>(n) - 1, format, arguments);
  }
  if (n > static_cast<int>(sizeof(text)) - 2) n = sizeof(text) - 2;
  text[n++] = '\n';
  (void)!write(1, text, static_cast<size_t>(n));
}

[[gnu::format(printf, 1, 2)]] inline void Done(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  Line("OK", format, arguments);
  va_end(arguments);
}

[[gnu::format(printf, 2, 3)]] inline void Failed(int error, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  Line(qi::ErrnoName(error), format, arguments);
  va_end(arguments);
}

// `result` as a system call returns it.
inline void Report(long result) { result < 0 ? Failed(errno, nullptr) : Done("%ld", result); }

}  // namespace act
