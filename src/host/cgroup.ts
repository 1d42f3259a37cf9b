/**
 * Where a jail's own cgroup would come from, by reading files only: the first launch that wants one asks for it. cgroups(7)
 * and systemd's CGROUP_DELEGATION: whoever writes into a group that somebody else manages breaks that one's bookkeeping.
 */

import { type CgroupMount, findMount, ownGroup } from './cgroup-mount.js'
import type { CgroupFacts } from './facts.js'

/** All that is looked at; a test states any host. */
export interface CgroupReader {
  /** Text of a small file; undefined when it cannot be read. */
  read(path: string): string | undefined
  /** access(2), W_OK: false on a read-only mount, also for root. */
  writable(path: string): boolean
  /** lstat(2) */
  stat(path: string): { uid: number; mode: number; isSocket: boolean; isDirectory: boolean } | undefined
  xattr(path: string, name: string): string | undefined
}

export interface Caller {
  uid: number
  env: Record<string, string | undefined>
  /** The one process that may be moved out of the way. */
  launcherPid?: number
}

type Found = Omit<CgroupFacts, 'version' | 'mount'>

/** The controllers that have a use here. */
const USED = ['memory', 'cpu', 'io', 'pids']
const NEEDED = ['memory', 'cpu', 'io']
const SYSTEMD = '/run/systemd/system'
const SYSTEM_BUS = '/run/dbus/system_bus_socket'

export function findCgroup(fs: CgroupReader, caller: Caller): CgroupFacts {
  const { mount, hasV1 } = findMount(fs)
  if (!mount) {
    const reason = hasV1 ? 'this host has cgroup v1 only' : 'no cgroup file system is mounted here'
    return { version: hasV1 ? 1 : 'none', source: 'none', controllers: [], reason }
  }
  const { point } = mount
  const offered = controllersOf(fs, point)
  if (!offered.some((name) => NEEDED.includes(name))) {
    const reason = hasV1
      ? `memory, cpu and io belong to cgroup v1 here; cgroup v2 at ${point} has none of them`
      : `cgroup v2 at ${point} has neither memory, cpu nor io (cgroup_disable=, or a container that was given none)`
    return { version: hasV1 ? 1 : 2, mount: point, source: 'none', controllers: [], reason }
  }
  return { version: 2, mount: point, ...source(fs, mount, caller) }
}

/** In order; each reason says why the one before was not to be had. */
function source(fs: CgroupReader, mount: CgroupMount, caller: Caller): Found {
  const reasons: string[] = []
  for (const find of [subtree, scope, root]) {
    const found = find(fs, mount, caller)
    if (typeof found !== 'string') return { ...found, reason: reasons.join('; ') }
    if (found) reasons.push(found)
  }
  return { source: 'none', controllers: [], reason: reasons.join('; ') }
}

type Attempt = Omit<Found, 'reason'> | string

/** The own group, or one around it, that was given to us to divide. */
function subtree(fs: CgroupReader, mount: CgroupMount, caller: Caller): Attempt {
  const own = ownGroup(fs, mount)
  if (own === undefined) return 'the own cgroup lies outside of what is mounted here'
  const reasons: string[] = []
  for (let at = own; ; at = at.slice(0, at.lastIndexOf('/'))) {
    if (isDelegated(fs, mount, at)) {
      const found = divide(fs, at, caller)
      if (typeof found !== 'string') return found
      reasons.push(found)
    }
    if (at === mount.point) break
  }
  return reasons.join('; ') || `no cgroup was delegated to this process (it is in ${own})`
}

/** systemd marks what it delegates; the topmost group of a container, which is no root to the kernel, is the container's. */
function isDelegated(fs: CgroupReader, { point }: CgroupMount, path: string): boolean {
  if (['user.delegate', 'trusted.delegate'].some((name) => fs.xattr(path, name) === '1')) return true
  return path === point && !isKernelRoot(fs, path)
}

/** Only what is not the root of the hierarchy has a type. */
const isKernelRoot = (fs: CgroupReader, path: string): boolean => fs.stat(`${path}/cgroup.type`) === undefined

function divide(fs: CgroupReader, path: string, { launcherPid }: Caller): Attempt {
  if (fs.stat(`${path}/init.scope`)) return `${path} is divided by a systemd`
  const needed = [path, `${path}/cgroup.procs`, `${path}/cgroup.subtree_control`]
  const locked = needed.find((each) => !fs.writable(each))
  if (locked !== undefined) return `${locked} may not be written`
  const found = { source: 'subtree' as const, path }
  // cgroups(7), "no internal processes": a group with processes of its own gives its children no controllers.
  const processes = words(fs.read(`${path}/cgroup.procs`)).map(Number)
  const others = processes.filter((pid) => pid !== launcherPid)
  if (others.length === 0) {
    const controllers = controllersOf(fs, path)
    if (controllers.length === 0) return `${path} has no controllers`
    return { ...found, controllers, ...(processes.length > 0 && launcherPid ? { launcherPid } : {}) }
  }
  const controllers = used(fs.read(`${path}/cgroup.subtree_control`))
  if (controllers.length > 0) return { ...found, controllers }
  return `${path} is delegated, but has ${others.length === 1 ? 'a process' : `${others.length} processes`} in it`
}

/** A scope of its own, from the systemd that looks after the caller. */
function scope(fs: CgroupReader, mount: CgroupMount, caller: Caller): Attempt {
  if (!fs.stat(SYSTEMD)) return 'systemd does not run here'
  return caller.uid === 0 ? systemScope(fs, mount) : userScope(fs, mount, caller)
}

function systemScope(fs: CgroupReader, { point }: CgroupMount): Attempt {
  if (fs.read('/proc/1/comm') !== 'systemd\n') return 'pid 1 is not systemd'
  const socket = fs.stat(SYSTEM_BUS)
  if (!socket?.isSocket || socket.uid !== 0) return `no system bus at ${SYSTEM_BUS}`
  return { source: 'scope', busSocket: SYSTEM_BUS, controllers: controllersOf(fs, point) }
}

function userScope(fs: CgroupReader, { point }: CgroupMount, { uid, env }: Caller): Attempt {
  const tried = [...new Set(busPaths(uid, env))]
  const busSocket = tried.find((path) => isOwnSocket(fs, path, uid))
  if (busSocket === undefined) return `no user bus of this user (${tried.join(', ')})`
  const manager = `${point}/user.slice/user-${uid}.slice/user@${uid}.service`
  const controllers = controllersOf(fs, manager)
  if (controllers.length === 0) return `${manager} has no controllers to pass on`
  return { source: 'scope', busSocket, controllers }
}

function busPaths(uid: number, { XDG_RUNTIME_DIR: runtime, DBUS_SESSION_BUS_ADDRESS: address = '' }: Caller['env']) {
  const written = address.split(';').flatMap((each) => /^unix:(?:[^,]*,)*path=([^,]+)/.exec(each)?.[1] ?? [])
  const given = [...(runtime ? [`${runtime}/bus`] : []), ...written.map(unescaped)]
  return [...given, `/run/user/${uid}/bus`].filter(isPlain)
}

/** Values in a D-Bus address are percent-encoded. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

const isPlain = (path: string): boolean =>
  path.startsWith('/') && !/[\0\n]|\/\/|\/\.{1,2}(\/|$)|\/$/.test(path) && Buffer.byteLength(path) <= 107

/** Whoever else could have put a socket there could play systemd: it would only refuse us, but has no business to know. */
function isOwnSocket(fs: CgroupReader, path: string, uid: number): boolean {
  const socket = fs.stat(path)
  const folder = fs.stat(path.slice(0, path.lastIndexOf('/')))
  if (!socket?.isSocket || socket.uid !== uid) return false
  return folder?.isDirectory === true && folder.uid === uid && (folder.mode & 0o022) === 0
}

function root(fs: CgroupReader, { point }: CgroupMount, { uid }: Caller): Attempt {
  if (uid !== 0 || fs.stat(SYSTEMD) || !isKernelRoot(fs, point)) return ''
  const locked = [point, `${point}/cgroup.subtree_control`].find((each) => !fs.writable(each))
  if (locked !== undefined) return `${locked} may not be written`
  return { source: 'root', path: point, controllers: controllersOf(fs, point) }
}

const words = (text = ''): string[] => text.split(/\s+/).filter(Boolean)
const used = (text: string | undefined): string[] => words(text).filter((name) => USED.includes(name))
const controllersOf = (fs: CgroupReader, path: string): string[] => used(fs.read(`${path}/cgroup.controllers`))
