# shellcheck shell=bash
# Sourced by setup.sh: which system packages are missing, and installing them. Nothing is installed that already works.

packages=()
manager=$(command -v apt-get || command -v dnf || command -v apk || true)
manager=${manager##*/}

# need PROBE REASON APT DNF APK: a tool counts as there when it works, wherever it came from.
need() {
  local names
  eval "$1" >/dev/null 2>&1 && return
  case $manager in
    apt-get) names=$3 ;;
    dnf) names=$4 ;;
    apk) names=$5 ;;
    *) die "setup: missing: $2. There is no apt, dnf or apk here: install it by hand (Debian calls it $3)" ;;
  esac
  say "setup: missing: $2; will install: $names"
  read -ra names <<<"$names"
  packages+=("${names[@]}")
}
library() { [[ $(g++ -print-file-name="$1") == /* ]]; }
header() { g++ -E -include "$1" -x c++ /dev/null; }

need_for_build() {
  need 'has cmake' 'cmake, which configures the native build' cmake cmake cmake
  need 'has make || has ninja' 'make, which runs it' make make make
  need 'has g++' 'g++, which compiles it' g++ gcc-c++ g++
  need 'library libstdc++.a && library libc.a' 'static C and C++ libraries, for qi-monitor' \
    libc6-dev 'glibc-static libstdc++-static' musl-dev
  # Elsewhere, and where nobody may install it, the C library of the compiler does as well (cmake/QiMusl.cmake).
  if [[ $manager == apt-get ]] && { ((EUID == 0)) || has sudo; }; then
    need "[[ -r /usr/lib/$(uname -m)-linux-musl/rcrt1.o ]]" 'musl, the C library of qi-monitor' musl-dev
  fi
  need 'header linux/landlock.h' 'Linux kernel headers' linux-libc-dev kernel-headers linux-headers
  need 'header seccomp.h && library libseccomp.a' 'libseccomp headers and static library, which compile the filters' \
    libseccomp-dev 'libseccomp-devel libseccomp-static' 'libseccomp-dev libseccomp-static'
}

need_for_bench() {
  need 'has bwrap' 'bubblewrap, which the benchmark compares with' bubblewrap bubblewrap bubblewrap
  need 'has strace' 'strace, which counts the system calls of a launch' strace strace strace
}

# Only Debian has them all; elsewhere those that are installed are measured, and the others listed as missing.
need_for_peers() {
  [[ $manager == apt-get ]] || return 0
  need 'has firejail' 'firejail, a peer of the benchmark' firejail
  need 'has crun' 'crun, a peer of the benchmark' crun
  need 'has runc' 'runc, a peer of the benchmark' runc
  need 'has runsc' 'runsc (gVisor), a peer of the benchmark' runsc
  need 'has systemd-nspawn' 'systemd-nspawn, a peer of the benchmark' systemd-container
  need 'has socat && has rg' 'socat and ripgrep, which srt starts' 'socat ripgrep'
  need_for_world
}

need_for_ci() {
  # A fresh container image has no package index to look LLVM releases up in.
  if [[ $manager == apt-get ]] && ! apt-cache show clang-format >/dev/null 2>&1; then
    quietly 'updating the package index' as_root apt-get update
  fi
  need 'has clang++-14 || has clang++' 'clang, for fuzzing' "$(apt_llvm clang)" clang clang
  need fuzzer_runtime "clang's sanitizer and fuzzer runtimes" "$(apt_llvm clang-rt)" compiler-rt compiler-rt
  need 'has clang-format-14 || has clang-format' 'clang-format, for lint' "$(apt_llvm clang-format)" \
    clang-tools-extra clang-extra-tools
  need 'has clang-tidy-14 || has clang-tidy' 'clang-tidy, for lint' "$(apt_llvm clang-tidy)" \
    clang-tools-extra clang-extra-tools
  if [[ $manager == apt-get && $(uname -m) == x86_64 ]]; then
    need 'has aarch64-linux-gnu-g++' 'an arm64 compiler, for the cross build' 'g++-aarch64-linux-gnu libc6-dev-arm64-cross'
  fi
  need 'has shellcheck' 'shellcheck, for lint' shellcheck ShellCheck shellcheck
  need 'has strace' 'strace, for the tests that look at syscalls' strace strace strace
  need 'has zsh && has fish' 'zsh and fish, for the tests of completions' 'zsh fish' 'zsh fish' 'zsh fish'
  need 'has groff && has mandoc' 'groff and mandoc, for the tests of the manual' 'groff mandoc' 'groff mandoc' 'groff mandoc'
  need 'has python3' 'python3, for the test with a Python server' python3 python3 python3
  need 'has setpriv' 'setpriv, for the tests that run as a plain user' util-linux util-linux setpriv
  need 'has crun' 'crun, for the tests in containers' crun crun crun
  need 'has chromium' 'Chromium, the browser of the servers that use one' chromium chromium chromium
  need_for_network_tests
}

# What builds the test world's namespaces, its certificates, and the client that benchmarks use.
need_for_world() {
  need 'has ip' 'ip, which makes the networks of the tests' iproute2 iproute iproute2
  need 'has curl' 'curl, a client in the network tests' curl curl curl
  need 'has openssl' 'openssl, a client and the certificates of the network tests' openssl openssl openssl
}

# The clients that the network tests run unchanged.
need_for_network_tests() {
  need_for_world
  need 'has wget' 'wget, a client in the network tests' wget wget wget
  need 'has git' 'git, a client in the network tests' git git git
  need openbsd_nc 'nc, a client in the network tests' netcat-openbsd netcat netcat-openbsd
  need 'has go' 'Go, for a static client in the network tests' golang-go golang go
  need 'has javac' 'a Java compiler, for a client in the network tests' default-jdk-headless java-devel openjdk17-jdk
  need 'has musl-gcc' 'musl, for a client in the network tests' musl-tools musl-gcc musl-dev
}

# The machines of test/vm bring their own qemu and kernels; this is what unpacks and starts them. Only Debian has those.
need_for_vm() {
  [[ $manager == apt-get ]] || return 0
  need 'has unshare && has setpriv' 'unshare and setpriv, which confine the virtual machines' util-linux
  need 'has perl' 'perl, which makes the root folder with systemd' perl
  need 'has xz' 'xz, for modules of kernels' xz-utils
  need '[[ -r /usr/share/keyrings/debian-archive-keyring.gpg ]]' "Debian's keys" debian-archive-keyring
}

openbsd_nc() { [[ $(nc -h 2>&1) == *OpenBSD* ]]; }

# Formatting and warnings differ between LLVM releases: one release wherever the distribution has it, else its default.
apt_llvm() {
  local names=("$1-14" "$1")
  [[ $manager == apt-get ]] || return 0
  [[ $1 == clang-rt ]] && names=(libclang-rt-14-dev libclang-common-14-dev)
  apt-cache show "${names[0]}" >/dev/null 2>&1 && echo "${names[0]}" || echo "${names[1]}"
}

fuzzer_runtime() {
  echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
    "$(pick clang++-14 clang++)" -fsanitize=fuzzer,address -x c++ -o .cache/fuzzer-probe -
}

as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

install_needed() {
  ((${#packages[@]})) || return 0
  ((EUID == 0)) || has sudo || die "setup: not root and no sudo. As root, install: ${packages[*]}"
  case $manager in
    apt-get)
      quietly 'updating the package index' as_root apt-get update
      quietly "installing ${packages[*]}" as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${packages[@]}"
      ;;
    dnf) quietly "installing ${packages[*]}" as_root dnf install -y "${packages[@]}" ;;
    apk) quietly "installing ${packages[*]}" as_root apk add "${packages[@]}" ;;
  esac
}
