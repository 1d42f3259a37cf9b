# shellcheck shell=bash
# Sourced by the other scripts, from the root of the checkout.

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$@"
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# First of the named programs that exists.
pick() {
  local name
  for name in "$@"; do
    if has "$name"; then
      echo "$name"
      return
    fi
  done
  die "none of these programs is installed: $*"
}

# Is any of the files absent?
missing() {
  local file
  for file in "$@"; do
    [[ -e $file ]] || return 0
  done
  return 1
}

# One hash over the names and contents of files and folders; where the checkout lies counts too, as CMake records it.
digest() { (echo "$PWD" && find "$@" -type f ! -name '*.md' -print0 | LC_ALL=C sort -z | xargs -0r sha256sum) | sha256sum; }

# A stage is stale until `fresh` recorded the digest of its inputs.
stale() { [[ $(cat ".cache/$1.stamp" 2>/dev/null) != "$(digest "${@:2}")" ]]; }
fresh() {
  mkdir -p .cache
  digest "${@:2}" >".cache/$1.stamp"
}

# quietly WHAT COMMAND...: one line while it runs, the whole output if it fails.
quietly() {
  local what=$1 log
  shift
  say "qi-jail: $what"
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    rm -f "$log"
    die "qi-jail: failed: $what"
  fi
  rm -f "$log"
}
