import { QiError } from '../errors.js'
import { gatewayFilter, initFilter, keeperFilter, monitorFilter, payloadFilter } from '../filter/build.js'
import type { OciProfile } from '../filter/oci.js'
import { asking, inTurn, isTooLong, ociProgram } from '../filter/program.js'
import { openCalls } from '../filter/refused.js'
import type { MonitorOptions } from '../filter/supervisors.js'
import type { Arch, FilterSpec } from '../filter/types.js'
import type { Plan } from './layout.gen.js'

/** libseccomp, in the addon. Asked once per process for each of the few different filters. */
export type Compile = (spec: FilterSpec) => Uint8Array

export type Filters = Pick<
  Plan,
  'syscalls' | 'observedCases' | 'payloadFilter' | 'initFilter' | 'monitorFilter' | 'gatewayFilter' | 'keeperFilter'
>
const compiled = new WeakMap<Compile, Map<string, Filters>>()

/** libseccomp takes milliseconds for what depends on few choices. */
export function filtersOf(arch: Arch, choices: MonitorOptions, keeper: boolean, compile: Compile): Filters {
  const known = compiled.get(compile) ?? new Map<string, Filters>()
  compiled.set(compile, known)
  const key = `${arch} ${keeper} ${JSON.stringify(choices)}`
  const found = known.get(key)
  if (found) return found
  const { spec, ...answers } = payloadFilter(arch, choices)
  const made = {
    ...answers,
    payloadFilter: compile(spec),
    initFilter: compile(initFilter(arch, choices)),
    monitorFilter: compile(monitorFilter(arch, choices)),
    gatewayFilter: choices.hostSockets ? compile(gatewayFilter(arch)) : new Uint8Array(),
    keeperFilter: keeper ? compile(keeperFilter(arch, choices)) : new Uint8Array()
  }
  known.set(key, made)
  return made
}

/** Imported profiles first: where they let a call pass, the table is asked, which also has the last word on architectures. */
export function imported(profiles: OciProfile[], arch: Arch, table: Uint8Array) {
  const importedFilter = profiles.map((each) => ociProgram(each, arch)).reduceRight((rest, each) => inTurn(each, rest))
  const payloadFilter = inTurn(asking(importedFilter), table)
  const importedRule = profiles.map(({ origin }) => origin).join('; ')
  if (!isTooLong(payloadFilter)) return { payloadFilter, tableFilter: table, importedFilter, importedRule }
  throw new QiError('QI_SYSCALLS', `${importedRule}: more rules than a kernel takes as one filter`, {
    field: 'syscalls.oci',
    hint: 'take out what qi-jail refuses anyway, or what has many conditions on arguments'
  })
}

/** Of what `syscalls.allow` lifts, the first that only the namespaces keep from the host's processes and files. */
export function reachingHost(allow: readonly string[]): string | undefined {
  const open = new Set(openCalls())
  return allow.find((name) => open.has(name))
}
