#!/usr/bin/env bash
# Compiles qi-monitor for arm64 on an x64 machine: a source that only builds on the author's architecture fails here.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib.sh

if ! has aarch64-linux-gnu-g++; then
  say 'qi-jail: no arm64 cross compiler here: arm64 is left to its own runner'
  exit 0
fi
quietly 'configuring qi-monitor for arm64' cmake -S . -B build-arm64 -DQI_MONITOR_ONLY=ON -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++
quietly 'building qi-monitor for arm64' cmake --build build-arm64 --parallel "$(nproc)"
