import { QiError } from '../errors.js'
import type { Policy } from '../policy/merge.js'
import type { ProfileLimits } from './types.js'

/** For a profile that is silent; the shipped ones are not. */
const FALLBACK = { maxFileDescriptors: 4096, maxFileSize: 2 ** 30, maxProcesses: 512, tmpSize: 256 * 2 ** 20 }

export function resolveLimits({ resources, filesystem, tolerate }: Policy): ProfileLimits {
  if (resources.maxCpu !== undefined && !tolerate.includes('cpuLimit')) {
    throw new QiError(
      'QI_LIMIT_UNSUPPORTED',
      `resources.maxCpu = ${resources.maxCpu}: cannot be enforced without a cgroup`,
      {
        field: 'resources.maxCpu',
        value: resources.maxCpu,
        hint: "leave it out, or add 'cpuLimit' to tolerate to run without it"
      }
    )
  }
  const { maxMemory, maxExecutionTime } = resources
  return {
    maxFileDescriptors: resources.maxFileDescriptors ?? FALLBACK.maxFileDescriptors,
    maxFileSize: filesystem.maxFileSize ?? FALLBACK.maxFileSize,
    maxProcesses: resources.maxProcesses ?? FALLBACK.maxProcesses,
    tmpSize: resources.tmpSize ?? FALLBACK.tmpSize,
    ...(maxMemory === undefined ? {} : { maxMemory }),
    ...(maxExecutionTime === undefined ? {} : { maxExecutionTime })
  }
}
