#!/usr/bin/env bash
# Rewrites every file the way scripts/lint.sh wants it.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib.sh
node_modules/.bin/biome check --write .
find native \( -name '*.cc' -o -name '*.h' \) ! -name '*.gen.h' -print0 | xargs -0r "$(pick clang-format-14 clang-format)" -i
