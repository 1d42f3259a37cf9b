import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { MonitorOptions } from '../filter/supervisors.js'
import type { Arch } from '../filter/types.js'
import { COMPILED } from './compiled-files.js'
import type { Filters } from './filters.js'
import type { SyscallRule } from './layout.gen.js'

/** What rules have in common, and the calls by number. */
type Answer = [Omit<SyscallRule, 'number' | 'name'>, [number, string][]]
export type Packed = [key: string, answers: Answer[], programs: [Program, string][]]
type Program = Exclude<keyof Filters, 'syscalls' | 'observedCases'>

const HERE = fileURLToPath(import.meta.url)
/** What it loads is a module: a kept plan holds only as long as that is as it was (src/cache/own-files.ts). */
const require = createRequire(HERE)

/** The whole of the choices: with any other the filters are compiled as ever. */
export const keyOf = (arch: Arch, choices: MonitorOptions): string => `${arch} ${JSON.stringify(choices)}`

/** The filters as they were compiled when the command line tool was bundled: without libseccomp and the table. */
export function compiledFilters(arch: Arch, choices: MonitorOptions): Filters | undefined {
  const key = keyOf(arch, choices)
  const file = COMPILED.get(key)
  if (file === undefined) return undefined
  const kept = unpack(require(join(dirname(HERE), file)))
  return kept.key === key ? kept.filters : undefined
}

/** @internal As JSON. Of calls that go on to be seen there are none: their conditions have 64 bits. */
export function pack(key: string, { syscalls, observedCases: _none, ...programs }: Filters): Packed {
  const answers = new Map<string, Answer>()
  for (const { number, name, ...answer } of syscalls) {
    const like = JSON.stringify(answer)
    const known = answers.get(like) ?? [answer, []]
    answers.set(like, known)
    known[1].push([number, name])
  }
  const texts = Object.entries(programs).map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')])
  return [key, [...answers.values()], texts as [Program, string][]]
}

/** @internal What `pack` made it from. */
export function unpack([key, answers, texts]: Packed): { key: string; filters: Filters } {
  const syscalls = answers.flatMap(([answer, calls]) => calls.map(([number, name]) => ({ number, ...answer, name })))
  const programs = texts.map(([name, text]) => [name, new Uint8Array(Buffer.from(text, 'base64'))])
  const filters: Filters = {
    syscalls: syscalls.sort((a, b) => a.number - b.number),
    observedCases: [],
    ...(Object.fromEntries(programs) as Record<Program, Uint8Array>)
  }
  return { key, filters }
}
