// Turning the sources of a plan's mount operations into detached mounts. Runs in: monitor (privileged launches, so that
// root's own view and id-mapping apply), else init.
#pragma once
#include "core/fd.h"
#include "monitor/jail.h"

namespace qi {

struct Grant {
  UniqueFd mount;  // detached mount, or, when `legacy`, an O_PATH descriptor of the source
  bool legacy = false;
  bool absent = false;  // an optional source that is not there
};

// Opens the source of `op` (Bind or Device). `userns` >= 0: id-map those that ask for it.
Result OpenGrant(const Jail& jail, const MountOp& op, int userns, Grant* grant);

inline bool NeedsGrant(const MountOp& op) { return op.kind == MountKind::kBind || op.kind == MountKind::kDevice; }

}  // namespace qi
