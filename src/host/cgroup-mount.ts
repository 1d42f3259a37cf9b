import type { CgroupReader } from './cgroup.js'
import { readMounts } from './mounts.js'

/** proc_pid_mountinfo(5), of a cgroup2 mount. */
export interface CgroupMount {
  point: string
  /** Which group lies at the mount point, as this cgroup namespace names it. */
  root: string
}

export function findMount(fs: CgroupReader): { mount?: CgroupMount; hasV1: boolean } {
  const mounts = readMounts(fs.read('/proc/self/mountinfo') ?? '')
  const mount = mounts.find((each) => each.type === 'cgroup2')
  const hasV1 = mounts.some((each) => each.type === 'cgroup')
  return { ...(mount ? { mount: { point: mount.point, root: mount.root } } : {}), hasV1 }
}

/** The folder of the group this process is in; undefined where it is not below the mount. */
export function ownGroup(fs: CgroupReader, { point, root }: CgroupMount): string | undefined {
  const path = /^0::(\/.*)$/m.exec(fs.read('/proc/self/cgroup') ?? '')?.[1]?.replace(/ \(deleted\)$/, '')
  if (path === undefined || path.split('/').includes('..')) return undefined
  const inside = root === '/' ? path : path === root ? '/' : path.startsWith(`${root}/`) ? path.slice(root.length) : ''
  if (inside === '') return undefined
  const own = inside === '/' ? point : `${point}${inside}`
  return fs.stat(own)?.isDirectory ? own : undefined
}
