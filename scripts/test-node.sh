#!/usr/bin/env bash
# test-node.sh MAJOR...: runs the short form of the suite (the real entry points, not the exhaustive tables) under other
# Node.js releases. The binaries are npm packages, so nothing but the npm registry is needed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib.sh

# All entry points; what only repeats them hundreds of times, or goes through the steps of qi-monitor, says nothing more
# about another Node.js.
short_suite=(test/launch test/cli)
for long in leaks kill faults fallbacks cli/cache; do short_suite+=(--exclude "**/$long.test.ts"); done

for major in "$@"; do
  package=node-linux-$(node -p process.arch)
  home=$PWD/.cache/node-$major
  node=$home/node_modules/$package/bin/node
  [[ -x $node ]] || quietly "fetching Node.js $major" npm install --prefix "$home" --no-save --ignore-scripts "$package@$major"
  say "qi-jail: short suite under Node.js $("$node" --version)"
  PATH=$(dirname "$node"):$PATH "$node" node_modules/vitest/vitest.mjs run "${short_suite[@]}"
done
