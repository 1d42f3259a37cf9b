import type { ArgMatch } from './types.js'

/** All must hold for the filter to let the call pass. */
export type Condition = ArgMatch[]

/** Name -> the cases in which the filter itself lets the call pass: `[[]]` always, `[]` never. */
export type Calls = Record<string, Condition[]>

const LOW = 0xffffffffn

/** An `int` argument: the kernel ignores its high half, so the filter must too (CVE-2019-10063). */
export const is = (arg: number, value: number): ArgMatch => ({ arg, mask: LOW, value: BigInt(value) })

/** None of the bits is set. */
export const clear = (arg: number, bits: number): ArgMatch => ({ arg, mask: BigInt(bits), value: 0n })

/** The bits in `mask` are exactly `value`. */
export const masked = (arg: number, mask: number, value: number): ArgMatch => ({
  arg,
  mask: BigInt(mask),
  value: BigInt(value)
})

/** A pointer: all 64 bits count, or a pointer above 4 GiB with a zero low half would pass as null. */
export const isNull = (arg: number): ArgMatch => ({ arg, mask: 0xffffffffffffffffn, value: 0n })

export const anyOf = (arg: number, values: Iterable<number>): Condition[] =>
  [...values].map((value) => [is(arg, value)])

const words = (names: string) => names.trim().split(/\s+/)
export const always = (names: string): Calls => Object.fromEntries(words(names).map((name) => [name, [[]]]))
export const never = (names: string): Calls => Object.fromEntries(words(names).map((name) => [name, []]))
