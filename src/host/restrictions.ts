import { readFileSync } from 'node:fs'

/** What administrators and containers take away from this process. Read only once a launch failed: to name the remedy. */
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
}

type Read = (path: string) => string | undefined

const KINDS = ['user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup']

/** Looks, never fails: what cannot be read restricts nothing as far as we know. */
export function readRestrictions(read: Read = readQuietly): Restrictions {
  const sysctl = (name: string) => read(`/proc/sys/${name.replaceAll('.', '/')}`)
  const names = KINDS.map((kind) => `user.max_${kind}_namespaces`)
  const profile = read('/proc/self/attr/apparmor/current')
  const confined = profile !== undefined && !/^unconfined\b|\(unconfined\)$/.test(profile)
  return {
    usernsCloneOff: sysctl('kernel.unprivileged_userns_clone') === '0',
    apparmorRestricts: sysctl('kernel.apparmor_restrict_unprivileged_userns') === '1',
    ...(confined ? { apparmorProfile: profile } : {}),
    exhausted: names.filter((name) => sysctl(name) === '0'),
    filtered: /^Seccomp:\s+2$/m.test(read('/proc/self/status') ?? ''),
    mapped: read('/proc/self/uid_map') !== ''
  }
}

function readQuietly(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}
