// What an imported system call profile says of a call: the payload's filter only tells that something is against it, so
// qi-monitor runs the profile's own program, and the table's, on the registers that the kernel reported. Runs in:
// monitor.
#pragma once
#include <linux/seccomp.h>

#include "core/plan.h"

namespace qi {

// seccomp(2)'s return value of the classic BPF `program`, struct sock_filter each; a kill for what no filter holds.
uint32_t RunFilter(Span<uint8_t> program, const seccomp_data& data);

}  // namespace qi
