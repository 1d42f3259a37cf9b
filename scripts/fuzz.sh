#!/usr/bin/env bash
# fuzz.sh [SECONDS] [TARGET...]: runs each libFuzzer target that long (default 10) from native/fuzz/corpus/TARGET.
# What it finds lies in .cache/fuzz; the corpus in the repository is only read.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib.sh

seconds=${1:-10}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "fuzz: SECONDS is a whole number above 0, not $seconds"
shift $(($# ? 1 : 0))
cc=$(pick clang-14 clang)
cxx=$(pick clang++-14 clang++)

# A moved checkout, or another compiler (CMake then starts anew and forgets what is said here).
for known in "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "CMAKE_CXX_COMPILER:STRING=$(command -v "$cxx")"; do
  grep -qsxF "$known" build-fuzz/CMakeCache.txt || rm -rf build-fuzz
done
quietly 'configuring the fuzz targets' cmake -S . -B build-fuzz -DQI_FUZZ=ON \
  -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=RelWithDebInfo
quietly 'building the fuzz targets' cmake --build build-fuzz --parallel "$(nproc)"

fuzz() {
  local name=$1 corpus=native/fuzz/corpus/$1
  [[ -d $corpus ]] || die "fuzz: ${name}_fuzz.cc has no corpus in $corpus"
  mkdir -p ".cache/fuzz/$name"
  quietly "fuzzing $name for $seconds s" "build-fuzz/Release/${name}_fuzz" -max_total_time="$seconds" \
    -rss_limit_mb=1024 -timeout=5 -print_final_stats=1 -artifact_prefix=".cache/fuzz/$name/" ".cache/fuzz/$name" "$corpus"
}
export -f fuzz quietly say die
export seconds

# shellcheck disable=SC2016 # for the shells that xargs starts
for source in native/fuzz/*_fuzz.cc; do
  name=$(basename "$source" _fuzz.cc)
  if (($#)) && [[ " $* " != *" $name "* ]]; then continue; fi
  printf '%s\0' "$name"
done | xargs -0r -n 1 -P "$(nproc)" bash -euo pipefail -c 'fuzz "$1"' fuzz
