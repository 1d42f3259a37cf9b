import { existsSync } from 'node:fs'
import { release } from 'node:os'
import { encodeLooks, ObservedCgroup } from '../cache/observe.js'
import { QiError } from '../errors.js'
import { loadAddon } from '../launch/locate.js'
import { findCgroup } from './cgroup.js'
import { hostReader } from './cgroup-reader.js'
import type { CgroupFacts, HostFacts } from './facts.js'
import { probeUserNamespaces } from './user-namespaces.js'

/** capabilities(7) numbers. */
const NEEDED_OF_ROOT = { CAP_SETGID: 6n, CAP_SETUID: 7n, CAP_SYS_ADMIN: 21n }

type Lasting = Omit<HostFacts, 'cgroup' | 'userNamespaces'>

let known: Lasting | undefined
/** `seen`: where this process was then, for the addon to compare: reading it here takes longer than a whole hand-out may. */
let cgroup: { of: string; seen: Buffer | undefined; facts: CgroupFacts } | undefined

/**
 * Asks the kernel, once per process; where a cgroup would come from, again when the process came to be in another one.
 * @throws QiError QI_HOST on a platform that has none of the needed features.
 */
export function probeHost({ launcherPid }: { launcherPid?: number } = {}): HostFacts {
  known ??= probe()
  const { uid } = known
  return Object.defineProperties({ ...known } as HostFacts, {
    cgroup: { get: () => probeCgroup(uid, launcherPid), enumerable: true },
    // Not enumerable: who copies facts does not ask.
    userNamespaces: { get: probeUserNamespaces }
  })
}

function probeCgroup(uid: number, launcherPid: number | undefined): CgroupFacts {
  const { XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS } = process.env
  const of = JSON.stringify([XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS, launcherPid])
  if (cgroup?.of === of && cgroup.seen && loadAddon().areAsBefore(cgroup.seen)) return cgroup.facts
  const caller = { uid, env: process.env, ...(launcherPid === undefined ? {} : { launcherPid }) }
  const observed = new ObservedCgroup(hostReader)
  observed.read('/proc/self/cgroup')
  cgroup = { of, seen: encodeLooks(observed.looks), facts: findCgroup(hostReader, caller) }
  return cgroup.facts
}

function probe(): Lasting {
  if (process.arch !== 'x64' && process.arch !== 'arm64') {
    throw new QiError('QI_HOST', `no filter table for the architecture ${process.arch}`, {
      hint: 'x64 and arm64 are supported'
    })
  }
  // Without it the host's root looks like a container's, and no id map can be written.
  if (!existsSync('/proc/self/uid_map')) {
    throw new QiError('QI_HOST', 'there is no /proc/self/uid_map', {
      path: '/proc/self/uid_map',
      hint: 'qi-jail needs the /proc of its own pid namespace: mount it, as unshare --mount-proc or bwrap --proc /proc do; or this kernel has no user namespaces (CONFIG_USER_NS)'
    })
  }
  const found = loadAddon().probeHost()
  const hasAll = Object.values(NEEDED_OF_ROOT).every((bit) => (found.capEffective >> bit) & 1n)
  return {
    arch: process.arch,
    kernel: release(),
    uid: found.uid,
    gid: found.gid,
    privileged: found.uid === 0 && found.initialUserNamespace && hasAll,
    landlockAbi: found.landlockAbi,
    seccomp: { userNotif: found.userNotif, waitKillableRecv: found.waitKillableRecv },
    mountSetattr: found.mountSetattr,
    netnsCookie: found.netnsCookie
  }
}
