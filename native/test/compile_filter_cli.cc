// Test tool: reads a filter as text on stdin, and writes its BPF program to stdout or, given the number and arguments
// of a system call in hexadecimal, installs the program, makes that call and writes its errno.
//   arch x64|arm64
//   fallback ACTION
//   rule NUMBER ACTION [ARG MASK VALUE]...     (masks and values in hexadecimal)
// ACTION is allow, notify, kill or an errno.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/filter_compile.h"

namespace {

qi::FilterAction ParseAction(const char* word) {
  using Kind = qi::FilterAction::Kind;
  if (!strcmp(word, "allow")) return {Kind::kAllow, 0};
  if (!strcmp(word, "notify")) return {Kind::kNotify, 0};
  if (!strcmp(word, "kill")) return {Kind::kKill, 0};
  return {Kind::kErrno, static_cast<uint32_t>(strtoul(word, nullptr, 10))};
}

bool ParseLine(char* line, qi::FilterInput* input) {
  const char* first = strtok(line, " \n");
  const char* second = strtok(nullptr, " \n");
  if (!first || !second) return false;
  if (!strcmp(first, "arch")) {
    input->arch = strcmp(second, "arm64") ? qi::FilterArch::kX64 : qi::FilterArch::kArm64;
  } else if (!strcmp(first, "fallback")) {
    input->fallback = ParseAction(second);
  } else {
    qi::FilterRule rule;
    rule.number = static_cast<uint32_t>(strtoul(second, nullptr, 10));
    const char* action = strtok(nullptr, " \n");
    if (!action) return false;
    rule.action = ParseAction(action);
    while (const char* arg = strtok(nullptr, " \n")) {
      const char* mask = strtok(nullptr, " \n");
      const char* value = strtok(nullptr, " \n");
      if (!mask || !value) return false;
      rule.args.push_back({static_cast<uint32_t>(strtoul(arg, nullptr, 10)), strtoull(mask, nullptr, 16),
                           strtoull(value, nullptr, 16)});
    }
    input->rules.push_back(rule);
  }
  return true;
}

/// Installs the filter, makes one call and prints its errno. A filter that kills ends this process by SIGSYS.
int Call(std::vector<uint8_t>& bpf, char** words, int count) {
  long values[7] = {};
  for (int i = 0; i < count && i < 7; i++) values[i] = static_cast<long>(strtoull(words[i], nullptr, 16));
  sock_fprog program = {static_cast<uint16_t>(bpf.size() / sizeof(sock_filter)),
                        reinterpret_cast<sock_filter*>(bpf.data())};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    return 3;
  errno = 0;
  (void)syscall(values[0], values[1], values[2], values[3], values[4], values[5], values[6]);  // errno is the answer
  char text[16];
  int length = snprintf(text, sizeof text, "%d", errno);
  if (write(STDOUT_FILENO, text, static_cast<size_t>(length)) != length) return 1;
  _exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  qi::FilterInput input;
  char line[512];
  while (fgets(line, sizeof line, stdin)) {
    if (!ParseLine(line, &input)) return 2;
  }
  std::vector<uint8_t> bpf;
  int err = 0;
  if (!qi::CompileFilter(input, &bpf, &err)) {
    fprintf(stderr, "%s\n", strerror(err));
    return 1;
  }
  if (argc > 1) return Call(bpf, argv + 1, argc - 1);
  return write(STDOUT_FILENO, bpf.data(), bpf.size()) == static_cast<ssize_t>(bpf.size()) ? 0 : 1;
}
