import { release } from 'node:os'
import { QiError } from '../errors.js'
import { loadAddon } from '../launch/locate.js'
import type { HostFacts } from './facts.js'

/** capabilities(7) numbers. */
const NEEDED_OF_ROOT = { CAP_SETGID: 6n, CAP_SETUID: 7n, CAP_SYS_ADMIN: 21n }

let known: HostFacts | undefined

/** Asks the kernel, once per process. @throws QiError QI_HOST on a platform that has none of the needed features. */
export function probeHost(): HostFacts {
  known ??= probe()
  return known
}

function probe(): HostFacts {
  if (process.arch !== 'x64' && process.arch !== 'arm64') {
    throw new QiError('QI_HOST', `no filter table for the architecture ${process.arch}`, {
      hint: 'x64 and arm64 are supported'
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
    mountSetattr: found.mountSetattr
  }
}
