import type { AuditLog } from '../event/schema.js'

/** What was done, or tried, with a path. */
export interface FileUse {
  read: boolean
  write: boolean
  execute: boolean
  /** The name was made, removed or renamed: its folder is what has to be writable. */
  names: boolean
}

export interface HostUse {
  /** The name that was looked up, else the address. */
  host: string
  /** Undefined when only a look-up was seen. */
  port?: number
  address?: string
  /** By datagrams. */
  udp?: true
}

/** How much the command needed at its worst moment; what could not be seen is absent. */
export interface Peaks {
  memory?: number
  processes?: number
  descriptors?: number
}

/** What a command did that strict does not give it, in the words of its audit events. */
export interface Observed {
  files: Map<string, FileUse>
  /** By `host:port`, of datagrams `host:port/udp`. */
  hosts: Map<string, HostUse>
  unixSockets: Set<string>
  /** Refused by name, with the reason of the filter's table. */
  syscalls: Map<string, string>
  peaks: Peaks
}

export const nothing = (): Observed => ({
  files: new Map(),
  hosts: new Map(),
  unixSockets: new Set(),
  syscalls: new Map(),
  peaks: {}
})

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)
const object = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

/** Adds what one event tells. Events come from a jail: nothing in them is trusted to have a shape. */
export function observe(into: Observed, { event, context }: AuditLog): void {
  const parameters = object(context.parameters)
  if (event.outcome !== 'blocked' && parameters.wouldBe !== 'blocked') return
  if (event.action.startsWith('file.')) addFile(into, event.action, parameters)
  else if (event.action === 'network.refused') addConnection(into, parameters)
  else if (event.action === 'dns.refused') addHost(into, { host: text(parameters.host) ?? '' })
  else if (event.action === 'syscall.refused') addSyscall(into, parameters)
}

const NAMES = new Set(['file.create', 'file.remove', 'file.rename', 'file.link'])

function addFile(into: Observed, action: string, { path, access }: Record<string, unknown>): void {
  const name = text(path)
  // A path with a line break cannot be told from two in a policy's comment, and no program needs one.
  if (!name?.startsWith('/') || /[\0\n\r]/.test(name)) return
  const use = into.files.get(name) ?? { read: false, write: false, execute: false, names: false }
  const how = `${action.slice('file.'.length)} ${text(access) ?? ''}`
  use.read ||= /\bread\b/.test(how)
  use.execute ||= /\bexecute\b/.test(how)
  use.names ||= NAMES.has(action)
  use.write ||= use.names || !/^(?:read|execute)\b/.test(how) || /\bwrite\b/.test(how)
  into.files.set(name, use)
}

function addConnection(into: Observed, parameters: Record<string, unknown>): void {
  const { family, address, port, path } = object(object(parameters.arguments).address)
  const unix = text(path)
  if (family === 'AF_UNIX') {
    if (unix?.startsWith('/')) into.unixSockets.add(unix)
    return
  }
  const ip = text(address)
  const udp = parameters.protocol === 'udp'
  const host = text(parameters.host)
  if (ip !== undefined) addAddress(into, { host, address: ip, port, udp })
  // As the gateway tells it, which no call waited for: of TCP it looks into what may be connected to.
  else if (udp) addAddress(into, { host, address: text(parameters.address), port: parameters.port, udp })
}

function addAddress(
  into: Observed,
  { host, address, port, udp }: { host?: string; address?: string; port: unknown; udp: boolean }
): void {
  if (address === undefined || typeof port !== 'number') return
  addHost(into, { host: host ?? address, port, address, ...(udp ? { udp } : {}) })
}

function addHost(into: Observed, use: HostUse): void {
  if (use.host === '') return
  into.hosts.set(`${use.host}:${use.port ?? ''}${use.udp ? '/udp' : ''}`, use)
}

function addSyscall(into: Observed, { syscall, rule }: Record<string, unknown>): void {
  const name = text(syscall)
  if (name !== undefined && name !== 'unknown') into.syscalls.set(name, text(rule) ?? '')
}

/** The larger of each. */
export function raise(peaks: Peaks, seen: Peaks): void {
  for (const key of ['memory', 'processes', 'descriptors'] as const) {
    const value = seen[key]
    if (value !== undefined) peaks[key] = Math.max(peaks[key] ?? 0, value)
  }
}

/** Adds all of `from`; whether anything of it was new. */
export function merge(into: Observed, from: Observed): boolean {
  let isNew = false
  for (const [path, use] of from.files) {
    const had = into.files.get(path)
    const all = had
      ? {
          read: had.read || use.read,
          write: had.write || use.write,
          execute: had.execute || use.execute,
          names: had.names || use.names
        }
      : use
    isNew ||= JSON.stringify(all) !== JSON.stringify(had)
    into.files.set(path, all)
  }
  for (const key of ['hosts', 'syscalls'] as const) {
    for (const [name, value] of from[key]) {
      isNew ||= !into[key].has(name)
      ;(into[key] as Map<string, unknown>).set(name, value)
    }
  }
  for (const path of from.unixSockets) {
    isNew ||= !into.unixSockets.has(path)
    into.unixSockets.add(path)
  }
  raise(into.peaks, from.peaks)
  return isNew
}
