#!/usr/bin/env bash
# Takes a fresh clone to where `npm start` and `npm test` work: system packages, npm packages, generated files, native
# build, TypeScript build. Does only what is stale and says nothing when nothing is.
#   --bench  also what the benchmarks compare with      --ci  also what lint, fuzzing and the whole suite need
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib.sh

bench=0 ci=0
for argument in "$@"; do
  case $argument in
    --bench) bench=1 ;;
    --ci) ci=1 ;;
    *) die "setup: unknown option $argument; known are --bench and --ci" ;;
  esac
done

node_version=$(node --version 2>/dev/null) || die 'setup: node is not on PATH; install Node.js 20.3 or newer'
IFS=. read -r major minor _ <<<"${node_version#v}"
if ((major < 20 || (major == 20 && minor < 3))); then
  die "setup: Node.js $node_version is too old; the addon needs Node-API 9, which came with 20.3"
fi

# Two setups at once (npm start beside npm test) would build into the same folder.
mkdir -p .cache
exec 9>.cache/setup.lock
flock 9

native_inputs=(CMakeLists.txt cmake native)
native_outputs=(build/Release/qi_jail.node build/Release/qi-monitor)

stale_npm() { [[ ! -e node_modules/.package-lock.json || package-lock.json -nt node_modules/.package-lock.json ]]; }
stale_native() { missing "${native_outputs[@]}" || stale native "${native_inputs[@]}"; }
stale_typescript() { missing dist/index.js || stale typescript src tsconfig.json package-lock.json; }

install_system_packages() {
  local -a packages=()
  local manager index
  manager=$(command -v apt-get || command -v dnf || command -v apk || true)
  case ${manager##*/} in apt-get) index=0 ;; dnf) index=1 ;; apk) index=2 ;; *) index=-1 ;; esac

  # need PROBE REASON APT DNF APK: a tool counts as there when it works, wherever it came from.
  need() {
    eval "$1" >/dev/null 2>&1 && return
    local names=("${@:3}") words
    ((index < 0)) && die "setup: missing: $2. No apt, dnf or apk here: install it by hand (Debian calls it ${names[0]})"
    say "setup: missing: $2; will install: ${names[index]}"
    read -ra words <<<"${names[index]}"
    packages+=("${words[@]}")
  }
  library() { [[ $(g++ -print-file-name="$1") == /* ]]; }
  header() { g++ -E -include "$1" -x c++ /dev/null; }

  if stale_native; then
    need 'has cmake' 'cmake, which configures the native build' cmake cmake cmake
    need 'has make || has ninja' 'make, which runs it' make make make
    need 'has g++' 'g++, which compiles it' g++ gcc-c++ g++
    need 'library libstdc++.a && library libc.a' 'static C and C++ libraries, for qi-monitor' \
      'g++ libc6-dev' 'glibc-static libstdc++-static' 'g++ musl-dev'
    need 'header linux/landlock.h' 'Linux kernel headers' linux-libc-dev kernel-headers linux-headers
    need 'header seccomp.h && library libseccomp.a' 'libseccomp headers and static library, which compile the filters' \
      libseccomp-dev 'libseccomp-devel libseccomp-static' 'libseccomp-dev libseccomp-static'
  fi
  if ((bench || ci)); then
    need 'has bwrap' 'bubblewrap, which the benchmark compares with' bubblewrap bubblewrap bubblewrap
  fi
  if ((ci)); then
    need 'has clang++-14 || has clang++' 'clang, for fuzzing' "$(apt_llvm clang)" clang clang
    need 'fuzzer_runtime' "clang's sanitizer and fuzzer runtimes" "$(apt_llvm clang-rt)" compiler-rt compiler-rt
    need 'has clang-format-14 || has clang-format' 'clang-format, for lint' "$(apt_llvm clang-format)" clang-tools-extra clang-extra-tools
    need 'has clang-tidy-14 || has clang-tidy' 'clang-tidy, for lint' "$(apt_llvm clang-tidy)" clang-tools-extra clang-extra-tools
    need 'has strace' 'strace, for the tests that count syscalls' strace strace strace
    need 'has python3' 'python3, for the test with a Python server' python3 python3 python3
    need 'has setpriv' 'setpriv, for the tests that run as a plain user' util-linux util-linux setpriv
  fi
  ((${#packages[@]})) || return 0

  local -a root=()
  if ((EUID != 0)); then
    has sudo || die "setup: not root and no sudo. As root, install: ${packages[*]}"
    root=(sudo)
  fi
  case $index in
    0)
      export DEBIAN_FRONTEND=noninteractive
      quietly 'updating the apt index' "${root[@]}" apt-get update
      quietly "installing ${packages[*]}" "${root[@]}" apt-get install -y --no-install-recommends "${packages[@]}"
      ;;
    1) quietly "installing ${packages[*]}" "${root[@]}" dnf install -y "${packages[@]}" ;;
    2) quietly "installing ${packages[*]}" "${root[@]}" apk add "${packages[@]}" ;;
  esac
}

# Formatting and warnings differ between LLVM releases: one release wherever the distribution has it, else its default.
apt_llvm() {
  local pinned=$1-14
  if [[ $1 == clang-rt ]]; then
    apt-cache show libclang-rt-14-dev >/dev/null 2>&1 && echo libclang-rt-14-dev || echo libclang-common-14-dev
  elif apt-cache show "$pinned" >/dev/null 2>&1; then
    echo "$pinned"
  else
    echo "$1"
  fi
}
fuzzer_runtime() {
  echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
    "$(pick clang++-14 clang++)" -fsanitize=fuzzer,address -x c++ -o .cache/fuzzer-probe -
}

build_native() {
  # CMake notices a changed CMakeLists.txt itself; a moved checkout or other header packages it cannot survive.
  if missing build/CMakeCache.txt || stale configure package-lock.json; then
    rm -rf build
    quietly 'configuring the native build' node_modules/.bin/cmake-js configure --CDCMAKE_BUILD_TYPE=RelWithDebInfo
    fresh configure package-lock.json
  fi
  quietly 'building the addon, qi-monitor and the native tests' cmake --build build --parallel "$(nproc)"
  fresh native "${native_inputs[@]}"
}

build_typescript() {
  # Swapped in whole: no file of a deleted source stays behind, and a failed build leaves the last good one.
  rm -rf .cache/dist
  quietly 'building TypeScript' node_modules/.bin/tsc -p tsconfig.json --outDir .cache/dist
  rm -rf dist
  mv .cache/dist dist
  fresh typescript src tsconfig.json package-lock.json
}

install_system_packages
if stale_npm; then
  quietly 'installing npm packages' npm ci
  touch node_modules/.package-lock.json
fi
if stale generate schema scripts/generate.mjs; then
  quietly 'generating from schema/' npm run --silent generate
  fresh generate schema scripts/generate.mjs
fi
if stale_native; then build_native; fi
if stale_typescript; then build_typescript; fi
