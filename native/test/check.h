// Test-only. A test is `TEST(Name) { CHECK(...); }`; CHECK_MAIN() at the end of the file runs them all.
// Every test runs in a forked child: a crash, a dropped privilege or an installed filter stays its own.
#ifndef QI_TEST_CHECK_H_
#define QI_TEST_CHECK_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <type_traits>
#include <vector>

namespace qi_check {

constexpr int kFailed = 1;
constexpr int kSkipped = 77;

struct Test {
  const char* name;
  void (*body)();
};

inline std::vector<Test>& Tests() {
  static std::vector<Test> tests;
  return tests;
}

inline int& Failures() {
  static int failures = 0;
  return failures;
}

struct Register {
  Register(const char* name, void (*body)()) { Tests().push_back({name, body}); }
};

template <typename T>
std::string Show(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_enum_v<T>) {
    return std::to_string(static_cast<long long>(value));
  } else if constexpr (std::is_arithmetic_v<T>) {
    return std::to_string(value);
  } else if constexpr (std::is_convertible_v<T, std::string>) {
    return '"' + std::string(value) + '"';
  } else if constexpr (std::is_constructible_v<std::string, T>) {
    return '"' + std::string(value) + '"';
  } else {
    return "(value)";
  }
}

inline void Fail(const char* file, int line, const std::string& what) {
  ++Failures();
  printf("  %s:%d: %s\n", file, line, what.c_str());
}

// Comparing a signed literal with an unsigned value is what tests do all the time; compare them as numbers.
template <typename A, typename B>
bool Equal(const A& a, const B& b) {
  if constexpr (std::is_integral_v<A> && std::is_integral_v<B> && std::is_signed_v<A> != std::is_signed_v<B>) {
    if constexpr (std::is_signed_v<A>)
      return a >= 0 && static_cast<std::make_unsigned_t<A>>(a) == b;
    else
      return b >= 0 && a == static_cast<std::make_unsigned_t<B>>(b);
  } else {
    return a == b;
  }
}

template <typename A, typename B>
bool CheckEqual(const A& a, const B& b, const char* text, const char* file, int line) {
  if (Equal(a, b)) return true;
  Fail(file, line, std::string(text) + ": " + Show(a) + " is not " + Show(b));
  return false;
}

inline int RunForked(const Test& test) {
  fflush(nullptr);
  pid_t pid = fork();
  if (pid == 0) {
    test.body();
    exit(Failures() ? kFailed : 0);  // exit, not _exit: the leak checker reports from an exit handler
  }
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return kFailed;
  if (WIFSIGNALED(status)) printf("  killed by signal %d\n", WTERMSIG(status));
  return WIFEXITED(status) ? WEXITSTATUS(status) : kFailed;
}

// Arguments select tests by substring of the name. The last line is what scripts/test.sh adds up.
inline int RunAll(int argc, char** argv) {
  int passed = 0, failed = 0, skipped = 0;
  for (const Test& test : Tests()) {
    bool wanted = argc < 2;
    for (int i = 1; i < argc; ++i) wanted = wanted || strstr(test.name, argv[i]);
    if (!wanted) continue;
    int result = RunForked(test);
    printf("%s %s\n", result == 0 ? "ok" : result == kSkipped ? "skip" : "FAIL", test.name);
    ++(result == 0 ? passed : result == kSkipped ? skipped : failed);
  }
  printf("qi-check: %d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed ? 1 : 0;
}

}  // namespace qi_check

#define TEST(name)                                                     \
  static void Test_##name();                                           \
  static const qi_check::Register register_##name(#name, Test_##name); \
  static void Test_##name()

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) qi_check::Fail(__FILE__, __LINE__, "false: " #condition); \
  } while (0)
#define CHECK_EQ(a, b) ((void)qi_check::CheckEqual((a), (b), #a " == " #b, __FILE__, __LINE__))
#define CHECK_STREQ(a, b) ((void)qi_check::CheckEqual(std::string(a), std::string(b), #a " == " #b, __FILE__, __LINE__))
// Leaves the test on failure, for what the following lines rely on.
#define REQUIRE(condition)                                      \
  do {                                                          \
    if (!(condition)) {                                         \
      qi_check::Fail(__FILE__, __LINE__, "false: " #condition); \
      return;                                                   \
    }                                                           \
  } while (0)
// The reason is checked against test/allowed-skips.txt under QI_MUST_WORK=1 (scripts/test.sh).
#define SKIP(reason)                 \
  do {                               \
    printf("qi-skip: %s\n", reason); \
    fflush(stdout);                  \
    _exit(qi_check::kSkipped);       \
  } while (0)
#define CHECK_MAIN() \
  int main(int argc, char** argv) { return qi_check::RunAll(argc, argv); }

#endif  // QI_TEST_CHECK_H_
