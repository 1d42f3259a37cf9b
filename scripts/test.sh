#!/usr/bin/env bash
# Every test: generated files, native tests (as shipped, then under ASan and UBSan), vitest. Arguments go to vitest.
# The last line sums them up: N passed, N failed, N skipped.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
source scripts/lib.sh

passed=0 failed=0 skipped=0
skip_log=$PWD/.cache/skips.txt
mkdir -p .cache
: >"$skip_log"

check_generated() {
  if npm run --silent generate:check; then
    ((++passed))
  else
    ((++failed))
  fi
}

# native_tests BUILD-FOLDER: each test program ends with a line of counts; one that died without it is one failure.
native_tests() {
  local log=$1/Testing/Temporary/LastTest.log counts programs reported
  say "qi-jail: native tests in $1"
  programs=$(cd "$1" && ctest -N | sed -n 's/^Total Tests: //p') # first: it empties the log
  (cd "$1" && ctest --output-on-failure >ctest.out 2>&1) || cat "$1/ctest.out"
  counts=$(sed -n 's/^qi-check: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$log")
  reported=$(grep -c . <<<"$counts")
  ((failed += ${programs:-1} - reported))
  while read -r p f s; do
    ((passed += p, failed += f, skipped += s))
  done < <(grep . <<<"$counts")
  sed -n 's/^qi-skip: //p' "$log" >>"$skip_log"
}

asan_works() { echo 'int main() {}' | g++ -fsanitize=address,undefined -x c++ -o .cache/asan-probe - 2>/dev/null; }

native_tests_sanitized() {
  if ! asan_works; then
    say 'qi-jail: skipped: no AddressSanitizer runtime for g++ here'
    echo 'no AddressSanitizer runtime' >>"$skip_log"
    ((++skipped))
    return
  fi
  if missing build-asan/CMakeCache.txt || stale native-asan CMakeLists.txt cmake native; then
    build_sanitized && fresh native-asan CMakeLists.txt cmake native
  fi || {
    ((++failed))
    return
  }
  native_tests build-asan
}

# In a subshell: a failed build is one failure among the results, not the end of the run.
build_sanitized() (
  grep -qsF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" build-asan/CMakeCache.txt || rm -rf build-asan
  quietly 'configuring the sanitized build' cmake -S . -B build-asan -DQI_SANITIZE=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo &&
    quietly 'building the native tests with ASan and UBSan' cmake --build build-asan --parallel "$(nproc)"
)

vitest_tests() {
  local report=.cache/vitest.json status=0 counts p f s
  rm -f "$report"
  QI_SKIP_LOG=$skip_log node_modules/.bin/vitest run --reporter=default --reporter=json \
    --outputFile.json="$report" "$@" || status=$?
  counts=$(node -p 'const r = JSON.parse(fs.readFileSync(process.argv[1]));
    const dead = r.testResults.filter((f) => f.status === "failed" && !f.assertionResults.some((t) => t.status === "failed"));
    [r.numPassedTests, r.numFailedTests + dead.length, r.numPendingTests + r.numTodoTests].join(" ")' "$report") || counts='0 1 0'
  read -r p f s <<<"$counts"
  # An error outside any test (an unhandled rejection, a worker that died) fails the run without failing a test.
  if ((status && !f)); then f=1; fi
  ((passed += p, failed += f, skipped += s))
}

# Under QI_MUST_WORK=1 a skip for a reason that is not listed, or without a reason, is a failure.
judge_skips() {
  local reason allowed=0
  sort "$skip_log" | uniq -c | sed 's/^ *\([0-9]*\) /qi-jail: skipped \1 because: /' >&2
  [[ ${QI_MUST_WORK:-0} == 1 ]] || return 0
  while IFS= read -r reason; do
    if grep -qxF -- "$reason" test/allowed-skips.txt; then
      ((++allowed))
    fi
  done <"$skip_log"
  if ((skipped > allowed)); then
    say "qi-jail: QI_MUST_WORK=1: $((skipped - allowed)) skipped without a reason listed in test/allowed-skips.txt"
    ((failed += skipped - allowed, skipped = allowed))
  fi
}

check_generated
native_tests build
native_tests_sanitized
# Here and not beside other tests: a launcher that comes to lie there makes every kept plan anew.
bash scripts/prebuild.sh || ((++failed))
vitest_tests "$@"
judge_skips
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
