import type { CgroupReader } from '../../src/host/cgroup.js'

/** path -> what lies there. Folders on the way come to be. */
export type Things = Record<string, Thing>
type Thing = string | { uid?: number; mode?: number; socket?: boolean; xattr?: Record<string, string> }

export const socket = (uid: number): Thing => ({ uid, socket: true })
export const folder = (uid = 0, mode = 0o755, xattr: Record<string, string> = {}): Thing => ({ uid, mode, xattr })

/** A cgroup with its usual files. `of`: who may write it. */
export function group(
  path: string,
  given: { controllers?: string; enabled?: string; procs?: number[]; uid?: number; delegate?: string; top?: boolean }
): Things {
  const { controllers = 'cpu io memory pids', enabled = '', procs = [], uid = 0, delegate, top = false } = given
  return {
    [path]: folder(uid, 0o755, delegate === undefined ? {} : { [delegate]: '1' }),
    [`${path}/cgroup.controllers`]: `${controllers}\n`,
    [`${path}/cgroup.subtree_control`]: `${enabled}\n`,
    [`${path}/cgroup.procs`]: procs.map((pid) => `${pid}\n`).join(''),
    ...(top ? {} : { [`${path}/cgroup.type`]: 'domain\n' })
  }
}

export interface Host {
  things: Things
  /** Who asks, and what only others may write. */
  uid?: number
  locked?: (path: string) => boolean
}

/** `locked` decides who may write what: by default root everything, others what belongs to them. */
export function fakeReader({ things, uid = 1000, locked }: Host): CgroupReader {
  const folders = new Set<string>()
  for (const path of Object.keys(things))
    for (let at = path; at !== ''; at = at.slice(0, at.lastIndexOf('/'))) folders.add(at)
  const thingAt = (path: string): Thing | undefined => things[path] ?? (folders.has(path) ? folder() : undefined)
  const ownerOf = (path: string): number => {
    const thing = thingAt(path)
    if (typeof thing === 'object') return thing.uid ?? 0
    return ownerOf(path.slice(0, path.lastIndexOf('/')))
  }
  return {
    read(path) {
      const thing = things[path]
      return typeof thing === 'string' ? thing : undefined
    },
    writable(path) {
      if (thingAt(path) === undefined || locked?.(path)) return false
      return uid === 0 || ownerOf(path) === uid
    },
    stat(path) {
      const thing = thingAt(path)
      if (thing === undefined) return undefined
      if (typeof thing === 'string') return { uid: ownerOf(path), mode: 0o644, isSocket: false, isDirectory: false }
      const { uid: owner = 0, mode = 0o755, socket: isSocket = false } = thing
      return { uid: owner, mode, isSocket, isDirectory: !isSocket }
    },
    xattr(path, name) {
      const thing = things[path]
      return typeof thing === 'object' ? thing.xattr?.[name] : undefined
    }
  }
}

export const MOUNTED = '30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n'

/** A systemd host: root, the manager of a logged-in user, and the group the asking process is in. */
export function systemdHost(own: string, { userControllers = 'cpu memory pids', bus = true } = {}): Things {
  const slice = '/sys/fs/cgroup/user.slice/user-1000.slice'
  return {
    '/proc/self/mountinfo': MOUNTED,
    '/proc/self/cgroup': `0::${own}\n`,
    '/proc/1/comm': 'systemd\n',
    '/run/systemd/system': folder(),
    '/run/dbus/system_bus_socket': socket(0),
    ...group('/sys/fs/cgroup', { top: true, controllers: 'cpuset cpu io memory hugetlb pids rdma' }),
    ...group(slice, {}),
    ...group(`${slice}/user@1000.service`, { uid: 1000, delegate: 'user.delegate', controllers: userControllers }),
    ...group(`${slice}/user@1000.service/init.scope`, { uid: 1000, procs: [800] }),
    ...group(`/sys/fs/cgroup${own}`, { uid: own.includes('user@1000') ? 1000 : 0, procs: [4242] }),
    ...(bus ? { '/run/user/1000': folder(1000, 0o700), '/run/user/1000/bus': socket(1000) } : {})
  }
}
