/**
 * What `syscalls.allow` and `syscalls.deny` may say instead of names. No group mixes what may be allowed with what never
 * may, and none holds what no command can do without (NEEDED): so every group may be denied, and allowed as a whole or not.
 */
import { FIXED, NEEDED, ON_PROCESSES } from './refused.js'
import { payloadGroups } from './table.js'

export interface SyscallGroup {
  purpose: string
  calls: readonly string[]
}

const table = new Map(
  payloadGroups({ guardCreates: false, hostSockets: false }).map(({ name, calls }) => [name, Object.keys(calls)])
)

const all = (names: string[]): string[] => names.flatMap((name) => table.get(name) ?? [])
/** Calls of these groups of the table. */
const from = (...names: string[]): string[] => all(names).filter((name) => !FIXED.has(name) && !NEEDED.has(name))
/** Those that are never allowed. */
const fixed = (...names: string[]): string[] => all(names).filter((name) => FIXED.has(name))

export const SYSCALL_GROUPS: Readonly<Record<string, SyscallGroup>> = {
  '@file': {
    purpose: 'opening, reading, writing, making, describing and removing files',
    calls: from('file-io', 'leases', 'file-names', 'new-names', 'new-files', 'set-id-bits', 'file-attributes')
  },
  '@file-create': { purpose: 'making and renaming names', calls: from('new-names', 'new-files') },
  '@memory': { purpose: 'the address space of the caller', calls: from('memory') },
  '@process': { purpose: 'starting, waiting for and limiting processes', calls: [...from('processes'), 'clone'] },
  '@process-options': { purpose: 'options of the caller itself', calls: from('process-options') },
  '@debug': { purpose: 'looking into and steering other processes of the jail', calls: [...ON_PROCESSES] },
  '@identity': { purpose: 'user, group and capabilities of the caller', calls: from('identity') },
  '@signal': { purpose: 'sending and taking signals', calls: from('signals') },
  '@wait': { purpose: 'event loops, locks between threads, timers', calls: from('waiting') },
  '@clock': { purpose: 'time, randomness, what the machine is', calls: from('information') },
  '@ipc': { purpose: 'System V and POSIX queues and shared memory', calls: from('ipc') },
  '@network': {
    purpose: 'sockets of every family',
    calls: from(
      'sockets',
      'connect',
      'bind',
      'send-to',
      'send-fast-open',
      'socket-families',
      'listen',
      'socket-options'
    )
  },
  '@sandbox': {
    purpose: 'what a program confines itself with',
    calls: [...from('nested-filters'), ...from('identity').filter((name) => name.startsWith('landlock_'))]
  },
  '@watch': { purpose: 'being told of changes of files', calls: from('file-names', 'kernel-surface').filter(isWatch) },
  '@namespace': { purpose: 'entering namespaces', calls: fixed('namespaces', 'flags-in-memory') },
  '@mount': { purpose: 'changing the file tree', calls: fixed('mounts') },
  '@kernel': { purpose: 'large and privileged kernel interfaces', calls: fixed('kernel-surface') },
  '@keyring': { purpose: 'kernel keyrings', calls: fixed('keys') },
  '@admin': { purpose: 'administering the host', calls: fixed('administration') },
  '@obsolete': { purpose: 'what is gone, or of no use', calls: fixed('obsolete') }
}

function isWatch(name: string): boolean {
  return /^(inotify|fanotify)_/.test(name)
}
