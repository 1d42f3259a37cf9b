import { gatewayFilter, initFilter, keeperFilter, monitorFilter, payloadFilter } from '../../src/filter/build.js'
import type { Arch, FilterRule, FilterSpec } from '../../src/filter/types.js'
import type { SyscallRule } from '../../src/plan/layout.gen.js'

export interface FilterCase {
  title: string
  spec: FilterSpec
  syscalls: SyscallRule[]
}

export const ARCHES: Arch[] = ['x64', 'arm64']

/** Choices in combination: `observeFiles` takes no rule for sockets away. The names are the goldens'. */
export const VARIANTS = [
  { name: '', guardCreates: false, hostSockets: false, observeFiles: false },
  { name: '-guarded', guardCreates: true, hostSockets: false, observeFiles: false },
  { name: '-hosts', guardCreates: false, hostSockets: true, observeFiles: false },
  { name: '-guarded-hosts', guardCreates: true, hostSockets: true, observeFiles: false },
  { name: '-files', guardCreates: false, hostSockets: false, observeFiles: true },
  { name: '-guarded-files', guardCreates: true, hostSockets: false, observeFiles: true }
]

/** Every filter that we ever install. */
export const CASES: FilterCase[] = ARCHES.flatMap((arch) => [
  ...VARIANTS.map((options) => ({ title: `payload${options.name}-${arch}`, ...payloadFilter(arch, options) })),
  ...VARIANTS.map((options) => ({
    title: `monitor${options.name}-${arch}`,
    spec: monitorFilter(arch, options),
    syscalls: []
  })),
  ...VARIANTS.filter(({ guardCreates, observeFiles }) => !guardCreates && !observeFiles).map((options) => ({
    title: `init${options.name}-${arch}`,
    spec: initFilter(arch, options),
    syscalls: []
  })),
  { title: `gateway-${arch}`, spec: gatewayFilter(arch), syscalls: [] },
  { title: `keeper-${arch}`, spec: keeperFilter(arch), syscalls: [] }
])

export const LAST_NUMBER = 600

/** Arguments that match the rule and have every other bit set, then every other bit clear. */
export function matchingArgs(rule: FilterRule): bigint[][] {
  return [0xffffffffffffffffn, 0n].map((rest) =>
    Array.from({ length: 6 }, (_, i) => {
      const match = rule.args.find(({ arg }) => arg === i)
      return match ? match.value | (rest & ~match.mask) : rest
    })
  )
}

/** One bit that the rule looks at is wrong. */
export function nearMisses(rule: FilterRule): bigint[][] {
  const [base] = matchingArgs(rule) as [bigint[]]
  return rule.args.flatMap(({ arg, mask }) =>
    Array.from({ length: 64 }, (_, bit) => 1n << BigInt(bit))
      .filter((bit) => mask & bit)
      .map((bit) => base.with(arg, (base[arg] ?? 0n) ^ bit))
  )
}
