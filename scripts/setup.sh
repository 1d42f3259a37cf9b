#!/usr/bin/env bash
# Takes a fresh clone to where `npm start` and `npm test` work: system packages, npm packages, generated files, native
# build, TypeScript build. Does only what is stale and says nothing when nothing is.
#   --bench  also what the benchmarks compare with      --ci  also what lint, fuzzing and the whole suite need
#   --vm  also what starts the virtual machines of test/vm  --peers  also the sandboxes that bench/peers measures
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib.sh
source scripts/packages.sh

bench=0 ci=0 vm=0 peers=0
for argument in "$@"; do
  case $argument in
    --bench) bench=1 ;;
    --ci) ci=1 ;;
    --vm) vm=1 ;;
    --peers) peers=1 ;;
    *) die "setup: unknown option $argument; known are --bench, --ci, --peers and --vm" ;;
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
typescript_inputs=(src profiles tsconfig.json package.json package-lock.json scripts/bundle.mjs native/core/filter_compile.cc native/core/filter_shorten.cc)
srt=@anthropic-ai/sandbox-runtime@0.0.83
native_outputs=(build/Release/{qi_jail.node,qi-monitor,qi-jail})

stale_npm() { [[ ! -e node_modules/.package-lock.json || package-lock.json -nt node_modules/.package-lock.json ]]; }
stale_native() { missing "${native_outputs[@]}" || stale native "${native_inputs[@]}"; }
stale_typescript() { missing dist/index.js || stale typescript "${typescript_inputs[@]}"; }

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
  quietly 'bundling the command line tool' node scripts/bundle.mjs .cache/dist
  rm -rf dist
  mv .cache/dist dist
  fresh typescript "${typescript_inputs[@]}"
}

if stale_native; then need_for_build; fi
if ((bench || ci || peers)); then need_for_bench; fi
if ((peers)); then need_for_peers; fi
if ((ci)); then need_for_ci; fi
if ((vm || ci)); then need_for_vm; fi
install_needed
if stale_npm; then
  quietly 'installing npm packages' npm ci
  touch node_modules/.package-lock.json
fi
# Beside the project's own packages: nothing here depends on it.
if ((peers)) && missing .cache/peers/node_modules/.bin/srt; then
  quietly 'installing srt' npm install --prefix .cache/peers --ignore-scripts --no-audit --no-fund "$srt"
fi
generated_from=(schema scripts/generate.mjs scripts/syscalls.mjs scripts/policy-schema.mjs src/policy src/network/entry.ts src/profile/types.ts src/filter)
if stale generate "${generated_from[@]}"; then
  quietly 'generating from schema/ and src/policy' npm run --silent generate
  fresh generate "${generated_from[@]}"
fi
if stale_native; then build_native; fi
if stale_typescript; then build_typescript; fi
