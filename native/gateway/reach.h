// What the rules say of an address, and one thing that they cannot know: that it is the host's own. Runs in: gateway.
#pragma once
#include "network/rules.h"

namespace qi {

// As Rules::Judge; another way to the host itself is refused unless the address is listed or in the host's hosts file.
Judgement JudgeReach(const Rules& rules, const IpAddress& address, uint16_t port, Transport transport,
                     const Records& records, uint64_t now_ms);

}  // namespace qi
