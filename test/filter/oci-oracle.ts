/** A second reading of seccomp profiles in JSON, straight from the document: what a process without capabilities may do. */
import type { Arch } from '../../src/filter/types.js'

interface Condition {
  index: number
  value: number
  valueTwo?: number
  op: string
}
interface Rule {
  names?: string[]
  name?: string
  action: string
  errnoRet?: number
  args?: Condition[] | null
  includes?: Match
  excludes?: Match
}
interface Match {
  caps?: string[]
  arches?: string[]
  minKernel?: string
}
export interface Document {
  defaultAction: string
  defaultErrnoRet?: number
  syscalls: Rule[]
}

const GO = { x64: 'amd64', arm64: 'arm64' }
const version = (text: string): number => {
  const [major = 0, minor = 0] = text.split('.').map((part) => Number.parseInt(part, 10))
  return major * 1000 + minor
}

/** Of the document, the rules that count. */
export function applying({ syscalls }: Document, arch: Arch, kernel: string): Rule[] {
  return syscalls.filter(({ includes = {}, excludes = {} }) => {
    const wanted = [
      (includes.caps ?? []).length === 0,
      (includes.arches ?? []).length === 0 || includes.arches?.includes(GO[arch]),
      includes.minKernel === undefined || version(kernel) >= version(includes.minKernel)
    ]
    const unwanted = [
      (excludes.arches ?? []).includes(GO[arch]),
      excludes.minKernel !== undefined && version(kernel) >= version(excludes.minKernel)
    ]
    return wanted.every(Boolean) && !unwanted.some(Boolean)
  })
}

export const namesOf = ({ names, name }: Rule): string[] => names ?? [name as string]

function holds({ index, op, value, valueTwo = 0 }: Condition, args: bigint[]): boolean {
  const [is, wanted] = [BigInt.asUintN(64, args[index] ?? 0n), BigInt(value)]
  const by: Record<string, boolean> = {
    SCMP_CMP_NE: is !== wanted,
    SCMP_CMP_LT: is < wanted,
    SCMP_CMP_LE: is <= wanted,
    SCMP_CMP_EQ: is === wanted,
    SCMP_CMP_GE: is >= wanted,
    SCMP_CMP_GT: is > wanted,
    SCMP_CMP_MASKED_EQ: (is & wanted) === BigInt(valueTwo)
  }
  if (!(op in by)) throw new Error(op)
  return by[op] === true
}

/** An argument named twice in a rule: engines make a rule of each. */
function matches(rule: Rule, args: bigint[]): boolean {
  const conditions = rule.args ?? []
  const isTwice = conditions.some(({ index }, i) => conditions.findIndex((other) => other.index === index) !== i)
  return isTwice ? conditions.some((one) => holds(one, args)) : conditions.every((one) => holds(one, args))
}

const say = (action: string, errno = 1): string =>
  action.startsWith('SCMP_ACT_KILL') ? 'kill' : action === 'SCMP_ACT_ERRNO' ? `errno ${errno}` : 'allow'

/** `allow`, `errno N` or `kill`; of several rules that match, the strictest. */
export function oracle(document: Document, rules: Rule[], name: string, args: bigint[]): string {
  const said = rules
    .filter((rule) => namesOf(rule).includes(name) && matches(rule, args))
    .map(({ action, errnoRet }) => say(action, errnoRet))
  const strictest = said.find((it) => it === 'kill') ?? said.find((it) => it !== 'allow') ?? said[0]
  return strictest ?? say(document.defaultAction, document.defaultErrnoRet)
}

/** Values at and around what the rules of a call compare with, and with the high half set. */
export function corners(rules: Rule[], name: string): bigint[][] {
  const mine = rules.filter((rule) => namesOf(rule).includes(name)).flatMap(({ args }) => args ?? [])
  const base = [0n, 1n, 0xffffffffn, 0xffffffffffffffffn]
  const near = mine.flatMap(({ value, valueTwo }) =>
    [value, valueTwo ?? 0].flatMap((at) => {
      const it = BigInt(at)
      return [it - 1n, it, it + 1n, it | (1n << 32n), it | (1n << 63n), it ^ (1n << 31n), it ^ 0x10n, ~it]
    })
  )
  const values = [...new Set([...base, ...near].map((value) => BigInt.asUintN(64, value)))]
  const used = [...new Set(mine.map(({ index }) => index))]
  const [first = 0, ...others] = used
  const one = values.map((value) => Array.from({ length: 6 }, (_, i) => (i === first ? value : 0n)))
  return others.reduce((all, index) => all.flatMap((args) => values.map((value) => args.with(index, value))), one)
}
