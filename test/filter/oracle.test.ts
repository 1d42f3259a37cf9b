/** libseccomp's program against a second, naive reading of the same rules, on inputs near and far from them. */
import { describe, expect, it } from 'vitest'
import type { FilterAction, FilterSpec } from '../../src/filter/types.js'
import { compile } from './compile.js'
import { AUDIT_ARCH, verdict } from './evaluator.js'
import { CASES, LAST_NUMBER, matchingArgs, nearMisses } from './profiles.js'

const text = (it: FilterAction) => (it.kind === 'errno' ? `errno ${it.errno}` : it.kind)

/** First principles: the action of a rule all of whose compares hold, else the fallback. */
function expected(spec: FilterSpec, nr: number, args: bigint[]): string {
  const rule = spec.rules.find(
    (r) => r.number === nr && r.args.every((m) => ((args[m.arg] ?? 0n) & m.mask) === m.value)
  )
  return text(rule?.action ?? spec.fallback)
}

/** A fixed sequence (Numerical Recipes' constants): a failure repeats. */
function randomWords(seed: number): () => bigint {
  let state = BigInt(seed)
  const next = () => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n)
    return state >> 32n
  }
  return () => (next() << 32n) | next()
}

describe.each(CASES)('$title', ({ spec }) => {
  const program = compile(spec)
  const same = (nr: number, args: bigint[]) => {
    const [got, want] = [verdict(program, { nr, arch: AUDIT_ARCH[spec.arch], args }), expected(spec, nr, args)]
    if (got !== want) expect.fail(`number ${nr} with ${args.map((a) => a.toString(16))}: ${got}, not ${want}`)
  }

  it('agrees at and around each rule', () => {
    for (const rule of spec.rules)
      for (const args of [...matchingArgs(rule), ...nearMisses(rule)]) same(rule.number, args)
  })

  it('agrees on mixtures of the arguments of two rules of a call', () => {
    const pick = randomWords(7)
    for (const rule of spec.rules.filter(({ args }) => args.length > 0)) {
      const others = spec.rules.filter(({ number }) => number === rule.number)
      for (let round = 0; round < 50; round++) {
        const bits = pick()
        const other = others[Number(bits % BigInt(others.length))] ?? rule
        const [mine, theirs] = [matchingArgs(rule)[Number((bits >> 8n) & 1n)] ?? [], matchingArgs(other)[0] ?? []]
        same(
          rule.number,
          mine.map((value, i) => ((bits >> BigInt(16 + i)) & 1n ? (theirs[i] ?? 0n) : value))
        )
      }
    }
  })

  it('agrees on random numbers and arguments', () => {
    const pick = randomWords(42)
    for (let round = 0; round < 20_000; round++) {
      const narrow = round % 3 ? 0xffn : 0xffffffffffffffffn
      same(
        Number(pick() % BigInt(LAST_NUMBER)),
        Array.from({ length: 6 }, () => pick() & narrow)
      )
    }
  })
})
