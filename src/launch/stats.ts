/** What qi-monitor measured. A member that this host cannot tell is absent, not zero. */
export interface JailStats {
  /** `cgroup`: the kernel's own counters; `watchdog`: added up over the processes there are now. */
  backend: 'cgroup' | 'watchdog'
  /** Of the jail, below the host's cgroup mount. */
  cgroup?: string
  uptimeMs: number
  paused: boolean
  /** Bytes of the whole jail. */
  memory: { current?: number; peak?: number; limit?: number }
  /** Microseconds of processor time; throttled: that it waited for its quota. */
  cpu: { usageUs?: number; userUs?: number; systemUs?: number; throttledUs?: number; throttledPeriods?: number }
  /** Processes and threads. */
  processes: { current?: number; peak?: number; limit?: number }
  io?: { readBytes?: number; writeBytes?: number }
  /** Open connections to hosts outside. */
  connections?: number
  /** Per cent of the last ten seconds in which some, or all, of it waited (PSI). */
  pressure?: Partial<Record<'memory' | 'cpu' | 'io', { some10?: number; full10?: number }>>
  /** Calls that were refused so far. */
  refusals: number
}

const MEMBERS = {
  memory: ['current', 'peak', 'limit'],
  cpu: ['usageUs', 'userUs', 'systemUs', 'throttledUs', 'throttledPeriods'],
  processes: ['current', 'peak', 'limit'],
  io: ['readBytes', 'writeBytes']
} as const
const PRESSURE = ['memory', 'cpu', 'io'] as const
const AVERAGES = ['some10', 'full10'] as const

type Members = Record<string, unknown>
const isObject = (value: unknown): value is Members => typeof value === 'object' && value !== null
const isFigure = (value: unknown): value is number => Number.isFinite(value) && (value as number) >= 0

/** Copies what has the shape of statistics; undefined for anything else. Whoever took qi-monitor over writes this too. */
export function readStats(message: unknown): JailStats | undefined {
  if (!isObject(message)) return undefined
  const { backend, uptimeMs, paused, refusals } = message
  if (backend !== 'cgroup' && backend !== 'watchdog') return undefined
  if (!isFigure(uptimeMs) || !isFigure(refusals) || typeof paused !== 'boolean') return undefined
  const { cgroup, connections, io, pressure } = message
  return {
    backend,
    ...(typeof cgroup === 'string' && cgroup !== '' ? { cgroup } : {}),
    uptimeMs,
    paused,
    memory: figures(message.memory, MEMBERS.memory),
    cpu: figures(message.cpu, MEMBERS.cpu),
    processes: figures(message.processes, MEMBERS.processes),
    ...(isObject(io) ? { io: figures(io, MEMBERS.io) } : {}),
    ...(isFigure(connections) ? { connections } : {}),
    ...(isObject(pressure) ? { pressure: readPressure(pressure) } : {}),
    refusals
  }
}

function figures<Name extends string>(from: unknown, names: readonly Name[]): Partial<Record<Name, number>> {
  const given: Members = isObject(from) ? from : {}
  const had = names.filter((name) => isFigure(given[name]))
  return Object.fromEntries(had.map((name) => [name, given[name]])) as Partial<Record<Name, number>>
}

function readPressure(from: Members): NonNullable<JailStats['pressure']> {
  const had = PRESSURE.filter((name) => isObject(from[name]))
  return Object.fromEntries(had.map((name) => [name, figures(from[name], AVERAGES)]))
}
