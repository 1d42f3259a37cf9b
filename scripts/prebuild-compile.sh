#!/usr/bin/env bash
# Stands in for node-gyp under prebuildify, which calls it with node-gyp's arguments in the staging folder and takes
# build/Release/*.node from there; what lies in artifacts/ is carried along with its mode.
set -euo pipefail
stage=$PWD
root=$(cd "$(dirname "$0")/.." && pwd)
"$root/node_modules/.bin/cmake-js" rebuild --directory "$root" --out "$stage/build" --parallel "$(nproc)" --CDQI_TESTS=OFF --CDQI_MONITOR_LIBC=musl
for program in qi-monitor qi-jail; do install -m 0755 "$stage/build/Release/$program" "$stage/artifacts/$program"; done
