import { readFileSync } from 'node:fs'
import { readMounts } from './mounts.js'

/** What administrators and containers take away from this process. Read once a launch failed, to name the remedy; for doctor. */
export interface Restrictions {
  /** kernel.unprivileged_userns_clone = 0: Debian's and hardened kernels' switch. */
  usernsCloneOff: boolean
  /** kernel.apparmor_restrict_unprivileged_userns = 1: Ubuntu's, since 23.10. */
  apparmorRestricts: boolean
  /** The AppArmor profile that confines this process, if one does. */
  apparmorProfile?: string
  /** Which user.max_*_namespaces are 0 in this user namespace. */
  exhausted: string[]
  /** A seccomp filter is on this process. */
  filtered: boolean
  /** This process' user has an id in its own user namespace; without one nothing can be made for it. */
  mapped: boolean
  /** This user namespace is not the host's own: its root has no rights over the host (rootless containers). */
  nestedUserNamespace: boolean
  /** The root folder is not the mount namespace's; false where that cannot be seen: process 1 is in the same chroot. */
  chrooted: boolean
  /** Who made the container around this process, as far as it left a mark: podman, docker, … */
  container?: string
}

type Read = (path: string) => string | undefined

const KINDS = ['user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup']

/** Looks, never fails: what cannot be read restricts nothing as far as we know. */
export function readRestrictions(read: Read = readQuietly): Restrictions {
  const sysctl = (name: string) => read(`/proc/sys/${name.replaceAll('.', '/')}`)
  const names = KINDS.map((kind) => `user.max_${kind}_namespaces`)
  const profile = read('/proc/self/attr/apparmor/current')
  const uidMap = read('/proc/self/uid_map')
  const container = containerOf(read)
  const confined = profile !== undefined && !/^unconfined\b|\(unconfined\)$/.test(profile)
  return {
    usernsCloneOff: sysctl('kernel.unprivileged_userns_clone') === '0',
    apparmorRestricts: sysctl('kernel.apparmor_restrict_unprivileged_userns') === '1',
    ...(confined ? { apparmorProfile: profile } : {}),
    exhausted: names.filter((name) => sysctl(name) === '0'),
    filtered: /^Seccomp:\s+2$/m.test(read('/proc/self/status') ?? ''),
    mapped: uidMap !== '',
    nestedUserNamespace: uidMap !== undefined && !WHOLE_MAP.test(uidMap),
    chrooted: isChrooted(read),
    ...(container ? { container } : {})
  }
}

/** user_namespaces(7): only the host's own maps every id to itself. */
const WHOLE_MAP = /^0\s+0\s+4294967295$/

/** Namespaces show no container by themselves; engines leave these marks on purpose, or in the names of control groups. */
function containerOf(read: Read): string | undefined {
  if (read('/run/.containerenv') !== undefined) return 'podman'
  if (read('/.dockerenv') !== undefined) return 'docker'
  const told = read('/run/systemd/container') ?? /(?:^|\0)container=([^\0]+)/.exec(read('/proc/1/environ') ?? '')?.[1]
  return (
    told?.slice(0, 64) ||
    /\/(kubepods|docker|libpod|lxc|crio)(?!\.service)[-/.]/.exec(read('/proc/self/cgroup') ?? '')?.[1]
  )
}

/**
 * In a chroot to a plain folder no mount is at `/`; one to a mount point process 1 sees elsewhere. A process 1 of other mounts
 * does not see it at all: no two mounts have the same number.
 */
function isChrooted(read: Read): boolean {
  const mounts = readMounts(read('/proc/self/mountinfo') ?? '')
  const root = mounts.findLast(({ point }) => point === '/')
  if (!root) return mounts.length > 0
  return readMounts(read('/proc/1/mountinfo') ?? '').some(({ id, point }) => id === root.id && point !== '/')
}

function readQuietly(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}
