import type { CgroupReader } from './cgroup.js'

/** proc_pid_mountinfo(5), of a cgroup2 mount. */
export interface CgroupMount {
  point: string
  /** Which group lies at the mount point, as this cgroup namespace names it. */
  root: string
}

export function findMount(fs: CgroupReader): { mount?: CgroupMount; hasV1: boolean } {
  const mounts = (fs.read('/proc/self/mountinfo') ?? '').split('\n').map(readMount)
  const mount = mounts.find((each) => each?.type === 'cgroup2')
  const hasV1 = mounts.some((each) => each?.type === 'cgroup')
  return { ...(mount ? { mount: { point: mount.point, root: mount.root } } : {}), hasV1 }
}

function readMount(line: string): (CgroupMount & { type: string }) | undefined {
  const [before = '', after = ''] = line.split(' - ')
  const [, , , root, point] = before.split(' ')
  const type = after.split(' ')[0]
  if (root === undefined || point === undefined || type === undefined) return undefined
  return { root: unescaped(root), point: unescaped(point), type }
}

/** Spaces and the like are written as three octal digits. */
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)))

/** The folder of the group this process is in; undefined where it is not below the mount. */
export function ownGroup(fs: CgroupReader, { point, root }: CgroupMount): string | undefined {
  const path = /^0::(\/.*)$/m.exec(fs.read('/proc/self/cgroup') ?? '')?.[1]?.replace(/ \(deleted\)$/, '')
  if (path === undefined || path.split('/').includes('..')) return undefined
  const inside = root === '/' ? path : path === root ? '/' : path.startsWith(`${root}/`) ? path.slice(root.length) : ''
  if (inside === '') return undefined
  const own = inside === '/' ? point : `${point}${inside}`
  return fs.stat(own)?.isDirectory ? own : undefined
}
