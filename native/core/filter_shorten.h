// Shorter programs with the same answers. May run in: addon.
#pragma once
#include <linux/filter.h>

#include <vector>

namespace qi {

/// What `program`, a seccomp filter as libseccomp generates it, answers, by fewer instructions. The kernel translates
/// each of them at every launch (bpf_prepare_filter: some 0.2 us), and asks about every system call while it does
/// (seccomp_cache_prepare). A program with instructions that libseccomp does not generate, or that got no shorter, is
/// returned as it is.
std::vector<sock_filter> Shorten(const std::vector<sock_filter>& program);

}  // namespace qi
