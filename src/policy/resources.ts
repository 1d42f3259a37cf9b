import { z } from 'zod'
import { count, duration, limit, number, path, refuse, size, written } from './fields.js'
import { parseCores, parseDuration } from './units.js'

export const cores = written('"50%"').transform((v, c) => limit(parseCores(v), c))

const MAX_WEIGHT = 10_000
const weight = number.transform((v, c) =>
  Number.isInteger(v) && v >= 1 && v <= MAX_WEIGHT
    ? v
    : refuse(c, 'QI_LIMIT', `is no whole number from 1 to ${MAX_WEIGHT}`, '100 is what every other group has')
)

const MAX_GRACE = 24 * 3_600_000
const grace = written('"2s"').transform((v, c) => {
  if (v === 0 || v === '0' || v === '0s') return 0
  const ms = limit(parseDuration(v), c)
  return ms <= MAX_GRACE ? ms : refuse(c, 'QI_LIMIT', 'is longer than a day', 'it lies between SIGTERM and SIGKILL')
})

const io = z
  .strictObject({
    /** Bytes per second. */
    readBytes: size.optional(),
    writeBytes: size.optional(),
    /** Operations per second. */
    readOps: count.optional(),
    writeOps: count.optional(),
    /** Names the disk: the one it lies on. Left out: the working directory's. */
    path: path.optional()
  })
  .superRefine((v, c) => {
    if (v.readBytes || v.writeBytes || v.readOps || v.writeOps) return
    refuse(c, 'QI_LIMIT', 'limits nothing', 'give readBytes, writeBytes, readOps or writeOps')
  })

export const resources = z.strictObject({
  /** Bytes of the whole jail, its private tmp included. */
  maxMemory: size.optional(),
  /** Bytes; from there on `limit.threshold` is reported, once. Default: nine tenths of maxMemory. */
  memoryThreshold: size.optional(),
  /** Cores, over all processes: 0.5, 2, or "50%" of one. */
  maxCpu: cores.optional(),
  /** Share of the processor when it is short, 1 to 10000; 100 is everybody's. */
  cpuWeight: weight.optional(),
  /** Of the disk that `path`, else the working directory, lies on. */
  maxIo: io.optional(),
  /** Milliseconds. */
  maxExecutionTime: duration.optional(),
  /** `wall`: time passes while the machine sleeps and while the jail is paused; `running`: it does not. */
  executionClock: z.enum(['wall', 'running']).optional(),
  /** Milliseconds between SIGTERM and SIGKILL when the time is over; 0: no SIGTERM is waited for. */
  terminationGrace: grace.optional(),
  maxFileDescriptors: count.optional(),
  /** Processes and threads. */
  maxProcesses: count.optional(),
  /** `refuse`: fork fails with EAGAIN; `kill`: the jail ends. */
  onProcessLimit: z.enum(['refuse', 'kill']).optional(),
  /** Bytes of the private tmp. */
  tmpSize: size.optional(),
  /** Files and folders in it. */
  tmpFiles: count.optional(),
  /** `off`: no cgroup, although the host has one. */
  cgroup: z.enum(['auto', 'off']).optional()
})
