#!/usr/bin/env bash
# Formatting and lint of everything: biome, clang-format, clang-tidy. Needs the native build (for its compile commands).
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib.sh

say 'qi-jail: biome'
node_modules/.bin/biome check --error-on-warnings .

say 'qi-jail: types of the tests'
node_modules/.bin/tsc -p test/tsconfig.json

if has shellcheck; then
  say 'qi-jail: shellcheck'
  shellcheck -x -P . scripts/*.sh .ci/run test/vm/{run,fetch,boot,init,guest}
  # It ends in JavaScript; POSIX has -ef since 2024, the shells that are a /bin/sh for longer.
  shellcheck -e SC2034,SC2093,SC2125,SC2211,SC2287,SC3013 bin/qi-jail
fi

mapfile -t formatted < <(find native \( -name '*.cc' -o -name '*.h' \) ! -name '*.gen.h' | sort)
say "qi-jail: clang-format, ${#formatted[@]} files"
"$(pick clang-format-14 clang-format)" --dry-run -Werror "${formatted[@]}"

tidy=$(pick clang-tidy-14 clang-tidy)
mapfile -t checked < <(find native/core native/entry native/cache native/cgroup native/monitor native/network native/gateway -name '*.cc' | sort)
say "qi-jail: clang-tidy, ${#checked[@]} files"
# Files are compiled for several programs, and would be checked as often. clang does not know all that musl.h asks of GCC.
mkdir -p .cache/lint
node -e 'const all = JSON.parse(fs.readFileSync("build/compile_commands.json")); const seen = new Set()
  fs.writeFileSync(".cache/lint/compile_commands.json", JSON.stringify(all
    .filter(({ file, command }) => !command.includes("libc/musl.h") && !seen.has(file) && seen.add(file))))'
# The compile commands are the compiler's we build with; clang need not know every flag of it.
# The analyzer follows calls a short way only, a sixth of the time; --deep lets it go as far as it can.
analyzer=(--extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=mode=shallow)
if [[ ${1:-} == --deep ]]; then analyzer=(); fi
printf '%s\0' "${checked[@]}" |
  xargs -0 -n 1 -P "$(nproc)" "$tidy" --quiet -p .cache/lint "${analyzer[@]}" --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-ignored-optimization-argument 2>.cache/clang-tidy.err ||
  { cat .cache/clang-tidy.err >&2; die 'qi-jail: clang-tidy found faults'; }
