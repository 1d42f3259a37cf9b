import { z } from 'zod'
import { count, duration, limit, number, path, refuse, size, written } from './fields.js'
import { DURATION, PERCENT, parseCores, parseDuration } from './units.js'

export const cores = written('"50%"', PERCENT).transform((v, c) => limit(parseCores(v), c))

const MAX_WEIGHT = 10_000
const weight = number
  .transform((v, c) =>
    Number.isInteger(v) && v >= 1 && v <= MAX_WEIGHT
      ? v
      : refuse(c, 'QI_LIMIT', `is no whole number from 1 to ${MAX_WEIGHT}`, '100 is what every other group has')
  )
  .meta({ type: 'integer', minimum: 1, maximum: MAX_WEIGHT })

const MAX_GRACE = 24 * 3_600_000
const grace = written('"2s"', DURATION, 0).transform((v, c) => {
  if (v === 0 || v === '0' || v === '0s') return 0
  const ms = limit(parseDuration(v), c)
  return ms <= MAX_GRACE ? ms : refuse(c, 'QI_LIMIT', 'is longer than a day', 'it lies between SIGTERM and SIGKILL')
})

const io = z
  .strictObject({
    readBytes: size.optional().describe('Bytes per second'),
    writeBytes: size.optional().describe('Bytes per second'),
    readOps: count.optional().describe('Operations per second'),
    writeOps: count.optional().describe('Operations per second'),
    path: path.optional().describe("Names the disk: the one it lies on. Left out: the working directory's")
  })
  .superRefine((v, c) => {
    if (v.readBytes || v.writeBytes || v.readOps || v.writeOps) return
    refuse(c, 'QI_LIMIT', 'limits nothing', 'give readBytes, writeBytes, readOps or writeOps')
  })

export const resources = z.strictObject({
  maxMemory: size.optional().describe('Of the whole jail, its private tmp included: bytes, or "512MB", "1GiB"'),
  memoryThreshold: size
    .optional()
    .describe('Bytes; from there on `limit.threshold` is reported, once. Default: nine tenths of maxMemory'),
  maxCpu: cores.optional().describe('Cores, over all processes: 0.5, 2, or "50%" of one'),
  cpuWeight: weight.optional().describe("Share of the processor when it is short, 1 to 10000; 100 is everybody's"),
  maxIo: io.optional().describe('Of the disk that `path`, else the working directory, lies on'),
  maxExecutionTime: duration.optional().describe('Of the whole run: milliseconds, or "30s", "5m"'),
  executionClock: z
    .enum(['wall', 'running'])
    .optional()
    .describe('`wall`: time passes while the machine sleeps and while the jail is paused; `running`: it does not'),
  terminationGrace: grace
    .optional()
    .describe('Milliseconds between SIGTERM and SIGKILL when the time is over; 0: no SIGTERM is waited for'),
  maxFileDescriptors: count.optional().describe('Open files of one process'),
  maxProcesses: count.optional().describe('Processes and threads'),
  onProcessLimit: z
    .enum(['refuse', 'kill'])
    .optional()
    .describe('`refuse`: fork fails with EAGAIN; `kill`: the jail ends'),
  tmpSize: size.optional().describe('Of the private tmp: bytes, or "256MiB"'),
  tmpFiles: count.optional().describe('Files and folders in it'),
  cgroup: z.enum(['auto', 'off']).optional().describe('`off`: no cgroup, although the host has one')
})
