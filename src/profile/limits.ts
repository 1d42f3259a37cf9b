import { QiError } from '../errors.js'
import type { Policy } from '../policy/merge.js'
import { expand, type Host } from './host.js'
import { ioTarget } from './io-target.js'
import type { ProfileLimits } from './types.js'

/** For a profile that is silent; the shipped ones are not. */
export const FALLBACK = {
  maxFileDescriptors: 4096,
  maxFileSize: 2 ** 30,
  maxProcesses: 512,
  onProcessLimit: 'refuse',
  executionClock: 'wall',
  terminationGrace: 2000,
  tmpSize: 256 * 2 ** 20,
  tmpFiles: 65536,
  cgroup: 'auto'
} as const

/** Where a limit warns before it holds, of a maximum that says nothing of it. */
const THRESHOLD = 0.9

export function resolveLimits({ resources, filesystem, origins }: Policy, host: Host): ProfileLimits {
  const { memoryThreshold: _threshold, maxIo, ...given } = resources
  const io = maxIo && { ...maxIo, ...ioTarget(host.fs, maxIo.path ? expand(host, maxIo.path).path : host.cwd) }
  return {
    ...FALLBACK,
    ...given,
    ...(filesystem.maxFileSize === undefined ? {} : { maxFileSize: filesystem.maxFileSize }),
    ...threshold(resources, origins),
    ...(io ? { maxIo: io } : {})
  }
}

function threshold(
  { maxMemory, memoryThreshold }: Policy['resources'],
  origins: Policy['origins']
): { memoryThreshold?: number } {
  if (maxMemory === undefined && memoryThreshold === undefined) return {}
  if (memoryThreshold === undefined) return { memoryThreshold: Math.floor((maxMemory as number) * THRESHOLD) }
  if (maxMemory !== undefined && memoryThreshold < maxMemory) return { memoryThreshold }
  const field = 'resources.memoryThreshold'
  const at = (key: string) => placeIn(origins, key)
  const [fault, hint] =
    maxMemory === undefined
      ? ['warns before a limit, and there is none', 'set resources.maxMemory']
      : [
          `is not below ${at('resources.maxMemory')} = ${maxMemory}`,
          'lower it, or leave it out for nine tenths of maxMemory'
        ]
  throw new QiError('QI_LIMIT', `${at(field)} = ${memoryThreshold}: ${fault}`, { field, value: memoryThreshold, hint })
}

/** Where a limit was written: `file:line:column: …`; of the caller's own configuration the key alone. */
export const placeIn = (origins: Policy['origins'], key: string): string =>
  (origins[key] ?? key).replace(/^config: /, '')
