#!/usr/bin/env bash
# Fills prebuilds/linux-ARCH/ for the npm package: the stripped addon, tagged with its C library, qi-monitor and qi-jail.
# Builds in a folder of its own, so that the build the checkout runs from stays as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib.sh

bash scripts/setup.sh
arch=$(node -p process.arch)
inputs=(CMakeLists.txt cmake native scripts/prebuild.sh scripts/prebuild-compile.sh package-lock.json)
if ! missing "prebuilds/linux-$arch/"{qi-monitor,qi-jail} && ! stale prebuild "${inputs[@]}"; then exit 0; fi

stage=$PWD/.cache/prebuild
rm -rf "$stage" "prebuilds/linux-$arch"
mkdir -p "$stage/artifacts"
cp package.json "$stage/"
# Node-API 9 is the same binary for every Node.js from 20.3 on; the target only has to be one of them.
quietly 'building the prebuilds' node_modules/.bin/prebuildify --cwd "$stage" --out "$PWD" --artifacts "$stage/artifacts" \
  --target 20.3.0 --napi --tag-libc --strip --node-gyp "$PWD/scripts/prebuild-compile.sh"
for program in qi-monitor qi-jail; do
  [[ $(stat -c %a "prebuilds/linux-$arch/$program") == 755 ]] || die "prebuild: $program lost its mode 0755"
done
# What is linked into them. Debian keeps the text beside each package.
for library in libseccomp-dev musl-dev; do
  text=/usr/share/doc/$library/copyright
  if [[ -r $text ]]; then printf '%s\n\n%s\n\n' "$library" "$(<"$text")"; fi
done >prebuilds/LICENSES
fresh prebuild "${inputs[@]}"
