/**
 * Imported profiles as BPF. Not by libseccomp: it drops a rule that says what happens anyway and lets a rule without
 * arguments swallow those with, so that what a profile refuses in some cases could pass. The program decides about calls of
 * this architecture alone; all others pass on to the table's program behind it, which kills.
 */
import type { OciAction, OciCompare, OciProfile } from './oci.js'
import { SYSCALLS } from './syscalls.gen.js'
import type { Arch } from './types.js'

/** struct sock_filter */
interface Instruction {
  code: number
  jt: number
  jf: number
  k: number
}

const [LOAD, JUMP, EQUAL, GREATER, AT_LEAST, AND, RETURN] = [0x20, 0x05, 0x15, 0x25, 0x35, 0x54, 0x06]
const [NUMBER, ARCH, ARGUMENTS] = [0, 4, 16] // offsets in struct seccomp_data
const AUDIT_ARCH: Record<Arch, number> = { x64: 0xc000003e, arm64: 0xc00000b7 }
const FIRST_X32 = 0x40000000
const MAX_INSTRUCTIONS = 4096

export const RET = { allow: 0x7fff0000, notify: 0x7fc00000, errno: 0x00050000, kill: 0x80000000 } as const

const make = (code: number, k: number, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k: k >>> 0 })
const give = (action: OciAction): Instruction =>
  make(RETURN, action.kind === 'errno' ? RET.errno | action.errno : RET[action.kind])
const isSame = (a: OciAction, b: OciAction): boolean => give(a).k === give(b).k

/** What the profile says by itself: allow, errno or kill. */
export function ociProgram(profile: OciProfile, arch: Arch): Uint8Array {
  const body = dispatch(segments(profile, arch))
  const head = [
    make(LOAD, ARCH),
    make(EQUAL, AUDIT_ARCH[arch], 1, 0),
    give({ kind: 'allow' }),
    make(LOAD, NUMBER),
    make(AT_LEAST, FIRST_X32, 0, 1),
    give({ kind: 'allow' })
  ]
  return encode([...head, ...body])
}

/** `first`, and where that allows, `second`: a call passes if both let it. */
export function inTurn(first: Uint8Array, second: Uint8Array): Uint8Array {
  const before = decode(first)
  const passed = before.map((it, i) =>
    it.code === RETURN && it.k === RET.allow ? make(JUMP, before.length - i - 1) : it
  )
  return encode([...passed, ...decode(second)])
}

/** The same with qi-monitor asked instead of an errno given: it looks the errno up, and records the refusal. */
export const asking = (program: Uint8Array): Uint8Array =>
  encode(decode(program).map((it) => (isErrno(it) ? make(RETURN, RET.notify) : it)))

const isErrno = ({ code, k }: Instruction): boolean => code === RETURN && (k & 0x7fff0000) === RET.errno

/** Whether the kernel would take it. */
export const isTooLong = (program: Uint8Array): boolean => program.length / 8 > MAX_INSTRUCTIONS

/** Calls in a row that get the same answer, or one call whose answer depends on its arguments. */
interface Segment {
  from: number
  code: Instruction[]
}

function segments(profile: OciProfile, arch: Arch): Segment[] {
  const rules = new Map<number, OciProfile['rules']>()
  for (const rule of profile.rules) {
    const number = SYSCALLS[rule.name]?.[arch]
    if (number === undefined) continue
    const same = rules.get(number)
    if (same) same.push(rule)
    else rules.set(number, [rule])
  }
  const out: Segment[] = []
  const add = (from: number, code: Instruction[]): void => {
    const last = out.at(-1)?.code
    if (last?.length === 1 && code.length === 1 && last[0]?.k === code[0]?.k) return
    out.push({ from, code })
  }
  for (let number = 0; number <= Math.max(0, ...rules.keys()); number++)
    add(number, decide(rules.get(number) ?? [], profile.fallback))
  add(Math.max(0, ...rules.keys()) + 1, [give(profile.fallback)])
  return out
}

const STRICTNESS: Record<OciAction['kind'], number> = { kill: 0, errno: 1, allow: 2 }

/** The strictest rule first; what follows one without conditions is never reached. */
function decide(rules: OciProfile['rules'], fallback: OciAction): Instruction[] {
  const sorted = [...rules].sort((a, b) => STRICTNESS[a.action.kind] - STRICTNESS[b.action.kind])
  const always = sorted.findIndex(({ args }) => args.length === 0)
  const end = sorted[always]?.action ?? fallback
  const asked = always < 0 ? sorted : sorted.slice(0, always)
  while (asked.length > 0 && isSame((asked.at(-1) as (typeof asked)[0]).action, end)) asked.pop()
  return [...asked.flatMap(({ args, action }) => when(args, give(action))), give(end)]
}

/** `then` if all hold, else what comes next. */
function when(args: OciCompare[], then: Instruction): Instruction[] {
  let code = [then]
  for (const compare of [...args].reverse()) code = [...compared(compare, code.length), ...code]
  return code
}

/** Goes on if it holds, else past the `rest` instructions behind it. */
function compared({ arg, op, value, masked }: OciCompare, rest: number): Instruction[] {
  const low = ARGUMENTS + 8 * arg
  const split = (of: string): [number, number] => [Number(BigInt(of) >> 32n), Number(BigInt(of) & 0xffffffffn)]
  const [high, lower] = split(value)
  const both = (more: Instruction[], code: number, k: number, jt: number, jf: number) => [
    ...more,
    make(code, k, jt, jf)
  ]
  const [loadHigh, loadLow] = [make(LOAD, low + 4), make(LOAD, low)]
  switch (op) {
    case 'EQ':
      return [loadHigh, make(EQUAL, high, 0, rest + 2), ...both([loadLow], EQUAL, lower, 0, rest)]
    case 'NE':
      return [loadHigh, make(EQUAL, high, 0, 2), ...both([loadLow], EQUAL, lower, rest, 0)]
    case 'MASKED_EQ': {
      const [wantedHigh, wantedLow] = split(masked)
      const first = both([loadHigh, make(AND, high)], EQUAL, wantedHigh, 0, rest + 3)
      return [...first, ...both([loadLow, make(AND, lower)], EQUAL, wantedLow, 0, rest)]
    }
    default: {
      // An order is decided by the high half, unless that is equal; LT is what GE is not, LE what GT is not.
      const low64 = op === 'GE' || op === 'LT' ? AT_LEAST : GREATER
      const [yes, no] = op === 'GE' || op === 'GT' ? [0, rest] : [rest, 0]
      const halves = [loadHigh, make(GREATER, high, yes + 3, 0), make(EQUAL, high, 0, no + 2)]
      return [...halves, ...both([loadLow], low64, lower, yes, no)]
    }
  }
}

/** A search for the number, halving. A conditional jump reaches 255 instructions, an unconditional one any. */
function dispatch(list: Segment[]): Instruction[] {
  if (list.length === 1) return (list[0] as Segment).code
  const middle = list.length >> 1
  const [left, right] = [dispatch(list.slice(0, middle)), dispatch(list.slice(middle))]
  return [make(AT_LEAST, (list[middle] as Segment).from, 0, 1), make(JUMP, left.length), ...left, ...right]
}

function encode(program: Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8)
  const view = new DataView(bytes.buffer)
  program.forEach(({ code, jt, jf, k }, i) => {
    view.setUint16(i * 8, code, true)
    view.setUint8(i * 8 + 2, jt)
    view.setUint8(i * 8 + 3, jf)
    view.setUint32(i * 8 + 4, k, true)
  })
  return bytes
}

function decode(bytes: Uint8Array): Instruction[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: bytes.length / 8 }, (_, i) => ({
    code: view.getUint16(i * 8, true),
    jt: view.getUint8(i * 8 + 2),
    jf: view.getUint8(i * 8 + 3),
    k: view.getUint32(i * 8 + 4, true)
  }))
}
