/** What changes in the payload's system calls where names are denied by pattern (`filesystem.mediate`). */
import { Verdict } from '../plan/layout.gen.js'
import { never } from './conditions.js'
import { ask, ENOSYS, type Group, refuse } from './group.js'

const EOPNOTSUPP = 95

const MEDIATED: Group[] = [
  {
    name: 'mediated',
    reason:
      'Names are denied by pattern, and the path of a call is in memory: qi-monitor reads it once, and opens or changes ' +
      'what it leads to itself.',
    calls: never(`
      open openat creat execve execveat mkdir mkdirat mknod mknodat symlink symlinkat link linkat rename renameat renameat2
      unlink unlinkat rmdir truncate chmod fchmodat fchmodat2 chown lchown fchownat utimensat inotify_add_watch`),
    otherwise: ask(Verdict.Change)
  },
  {
    name: 'old-times',
    reason: 'Every libc sets times by utimensat.',
    calls: never('utime utimes futimesat'),
    otherwise: refuse(ENOSYS)
  },
  {
    name: 'attributes',
    reason: 'Landlock does not know extended attributes, so a path to them could be one that is denied.',
    calls: never('setxattr lsetxattr removexattr lremovexattr setxattrat removexattrat'),
    otherwise: refuse(EOPNOTSUPP)
  }
]

/** Over the groups of any jail: what the tier without namespaces decides otherwise, too, stays its own. */
export function mediated(all: Group[]): Group[] {
  const decided = new Set(all.filter(({ name }) => TIER.has(name)).flatMap(({ calls }) => Object.keys(calls)))
  const ours = MEDIATED.map((group) => ({ ...group, calls: without(group, (name) => isOfTier(name, decided)) }))
  const moved = new Set(ours.flatMap(({ calls }) => Object.keys(calls)))
  const kept = all.map((group) => ({ ...group, calls: without(group, (name) => moved.has(name)) }))
  return [...kept, ...ours].filter(({ calls }) => Object.keys(calls).length > 0)
}

/** Its groups about files refuse at least as much, but for opens that change nothing and what is executed. */
const TIER = new Set(['changes', 'old-times', 'attributes'])
const isOfTier = (name: string, decided: Set<string>): boolean =>
  decided.has(name) && !['open', 'openat'].includes(name)

const without = ({ calls }: Group, drops: (name: string) => boolean): Group['calls'] =>
  Object.fromEntries(Object.entries(calls).filter(([name]) => !drops(name)))
