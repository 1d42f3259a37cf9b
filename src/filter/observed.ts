/**
 * Calls that are passed up to be told of (`audit.files`): what takes a path and reads, changes or runs what it names. Not
 * stat, access and readlink: they give no content, and programs make thousands of them.
 */
import type { ObservedCase } from '../plan/layout.gen.js'
import type { Condition } from './conditions.js'

const OBSERVED = new Set(
  `open openat creat execve execveat chdir unlink unlinkat rmdir mkdir mkdirat mknod mknodat symlink symlinkat rename
  renameat renameat2 link linkat truncate chmod fchmodat fchmodat2 chown lchown fchownat utime utimes futimesat utimensat
  setxattr lsetxattr setxattrat removexattr lremovexattr`.split(/\s+/)
)

export const isObserved = (name: string): boolean => OBSERVED.has(name)

/** In which cases the filter would have let the call pass: qi-monitor lets it go on then, for it is registers they look at. */
export const observedCases = (number: number, cases: Condition[]): ObservedCase[] =>
  cases.map((matches) => {
    const [one, ...more] = matches
    if (more.length > 0) throw new Error(`observed call ${number}: a case looks at more than one argument`)
    return { number, argument: one?.arg ?? 0, mask: one?.mask ?? 0n, value: one?.value ?? 0n }
  })
