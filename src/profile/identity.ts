import { randomInt } from 'node:crypto'
import { QiError } from '../errors.js'
import type { HostFacts } from '../host/facts.js'
import type { Profile } from './types.js'

// Above every range that distributions hand out to people, daemons and /etc/subuid, and free in systemd's table of uids.
const FIRST_HOST_ID = 1363738624
const HOST_IDS = 65536
const UID_INSIDE = 1000

/** Who the payload is. A root launch gives each jail a host uid of its own, so jails cannot signal or trace each other. */
export function identity(
  facts: HostFacts,
  wanted: { uid?: number; gid?: number },
  random: () => number = () => randomInt(HOST_IDS)
): Profile['identity'] {
  if (facts.privileged) {
    const id = FIRST_HOST_ID + random()
    return {
      uidInside: wanted.uid ?? UID_INSIDE,
      gidInside: wanted.gid ?? UID_INSIDE,
      uidOutside: wanted.uid ?? id,
      gidOutside: wanted.gid ?? id
    }
  }
  if (facts.uid === 0) {
    throw new QiError(
      'QI_ROOT_UNPRIVILEGED',
      'running as root without CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID on the host',
      {
        hint: 'run as an ordinary user (docker run --user 1000, podman run --user 1000, setpriv --reuid=1000); where root is the host’s, --cap-add SYS_ADMIN does as well'
      }
    )
  }
  return {
    uidInside: wanted.uid ?? facts.uid,
    gidInside: wanted.gid ?? facts.gid,
    uidOutside: facts.uid,
    gidOutside: facts.gid
  }
}
