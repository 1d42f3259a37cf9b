// What caller and host are, as far as a plan depends on it, in one text: a plan that was made under another one is
// none. Asked of the kernel by calls alone. May run in: addon, monitor before its launch.
#pragma once
#include <cstddef>

namespace qi {

constexpr size_t kFactsBytes = 4096;

// Bytes written, 0 when this caller cannot be told apart by a text of that size, or runs with the rights of two users.
size_t CallerFacts(char (&out)[kFactsBytes]);

}  // namespace qi
