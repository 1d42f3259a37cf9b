import type { HostFacts } from '../host/facts.js'
import type { Profile, ProtectionName } from '../profile/types.js'
import type { State } from './state.js'

/** What each layer comes to without namespaces, where that is other than with them. */
export function tierStates(profile: Profile, { landlockAbi }: HostFacts): Partial<Record<ProtectionName, State>> {
  const { withoutNamespaces: why, network, limits, off } = profile
  if (why === undefined) return {}
  const missing = (reason: string): State => ['off', reason, 'lacking']
  const degraded = (reason: string): State => ['degraded', reason, 'lacking']
  const signals = landlockAbi >= 6 && !off.includes('landlockScope') ? 'Landlock and qi-monitor' : 'qi-monitor'
  return {
    userNamespace: missing(why),
    mountNamespace: missing('the payload sees the host’s mounts; Landlock keeps it from changing any'),
    pidNamespace: degraded(
      `signals and limits reach the jail’s processes only, by ${signals}; names and command lines of all can be read in /proc`
    ),
    networkNamespace:
      network.mode === 'none'
        ? degraded('no sockets but local ones, by the filter; /proc tells of the host’s network')
        : ['off', network.mode],
    ipcNamespace: degraded('System V and POSIX queues are refused by the filter; there are none of the jail’s own'),
    utsNamespace: missing('the payload sees the host’s name'),
    cgroupNamespace: missing('the payload sees where its cgroup lies; it can change none'),
    privateRoot: degraded(
      'contents by Landlock and qi-monitor; that a path exists, its size and times can be seen; the private tmp is a folder of the host, of any size'
    ),
    nestedUserNamespace: degraded(
      'the filter alone refuses user namespaces; Landlock refuses what mounts they would make'
    ),
    mandatoryDenies: ['enforced', 'qi-monitor makes every change in writable grants'],
    processLimit: degraded(
      `RLIMIT_NPROC, ${limits.maxProcesses} above those that the caller has at launch; what it starts later counts, too`
    )
  }
}
