/** Every number × native, x32 and i386, for every filter we install, against committed tables. `vitest -u` rewrites them. */
import { describe, expect, it } from 'vitest'
import { SYSCALLS } from '../../src/filter/syscalls.gen.js'
import type { ArgMatch } from '../../src/filter/types.js'
import { Verdict } from '../../src/plan/layout.gen.js'
import { compile } from './compile.js'
import { AUDIT_ARCH, type Instruction, verdict } from './evaluator.js'
import { CASES, type FilterCase, LAST_NUMBER, matchingArgs, nearMisses } from './profiles.js'

const ALL_ONES = Array.from({ length: 6 }, () => 0xffffffffffffffffn)
const verdictName = Object.fromEntries(Object.entries(Verdict).map(([name, value]) => [value, name]))
const hex = (value: bigint) => (value < 10n ? String(value) : `0x${value.toString(16)}`)
const compare = ({ arg, mask, value }: ArgMatch) =>
  `arg${arg}${mask === 0xffffffffn ? '' : `&${hex(mask)}`}=${hex(value)}`

/** All that the filter says to this number, over arguments built to match and to just miss each of its rules. */
function said(program: Instruction[], { spec }: FilterCase, nr: number): string[] {
  const rules = spec.rules.filter((rule) => rule.number === nr)
  const inputs = [[], ALL_ONES, ...rules.flatMap((rule) => [...matchingArgs(rule), ...nearMisses(rule)])]
  return [...new Set(inputs.map((args) => verdict(program, { nr, arch: AUDIT_ARCH[spec.arch], args })))].sort()
}

function row(program: Instruction[], profile: FilterCase, nr: number): string {
  const { spec, syscalls } = profile
  const answer = syscalls.find((rule) => rule.number === nr)
  const cases = spec.rules.filter((rule) => rule.number === nr && rule.args.length > 0)
  const verdicts = said(program, profile, nr).join('/')
  if (verdicts === spec.fallback.kind && !answer) return `${'(any other)'.padEnd(23)} ${verdicts}`
  const name = Object.entries(SYSCALLS).find(([, numbers]) => numbers[spec.arch] === nr)?.[0] ?? 'unknown'
  const columns = [name.padEnd(23), verdicts]
  if (answer) columns.push(`=> ${verdictName[answer.verdict]} ${answer.error} ${answer.rule}`)
  if (cases.length > 0) columns.push(`; allow ${cases.map(({ args }) => args.map(compare).join(' & ')).join(' | ')}`)
  return columns.join(' ')
}

/** Runs of numbers that fare alike take one line. */
function table(program: Instruction[], profile: FilterCase): string {
  const lines: { first: number; last: number; text: string }[] = []
  for (let nr = 0; nr <= LAST_NUMBER; nr++) {
    const text = row(program, profile, nr)
    const previous = lines.at(-1)
    if (previous?.text === text) previous.last = nr
    else lines.push({ first: nr, last: nr, text })
  }
  const head = `fallback ${profile.spec.fallback.kind}, ${profile.spec.rules.length} rules, ${program.length} instructions\n`
  return (
    head +
    lines.map(({ first, last, text }) => `${first === last ? first : `${first}-${last}`}`.padEnd(8) + text).join('\n')
  )
}

describe.each(CASES)('$title', (profile) => {
  const { spec, title } = profile
  const program = compile(spec)

  it('says of each number what the committed table says', async () => {
    await expect(`${table(program, profile)}\n`).toMatchFileSnapshot(`golden/${title}.txt`)
  })

  it('kills every foreign architecture and every x32 number, whatever the arguments', () => {
    for (let nr = 0; nr <= LAST_NUMBER; nr++) {
      for (const args of [[], ALL_ONES]) {
        for (const arch of Object.values(AUDIT_ARCH)) {
          if (arch !== AUDIT_ARCH[spec.arch]) expect(verdict(program, { nr, arch, args })).toBe('kill')
        }
        const x32 = (0x40000000 | nr) >>> 0
        if (spec.arch === 'x64') expect(verdict(program, { nr: x32, arch: AUDIT_ARCH.x64, args })).toBe('kill')
      }
    }
  })

  it('does not let a number beyond the tables pass', () => {
    const arch = AUDIT_ARCH[spec.arch]
    for (const nr of [
      601, 1023, 65536, 0x3fffffff, 0x40000000, 0x7fffffff, 0x80000000, 0xbfffffff, 0xfffffffe, 0xffffffff
    ]) {
      expect(verdict(program, { nr, arch, args: [] })).not.toBe('allow')
    }
    // -1 is how a tracer skips a call: the kernel runs nothing for it
    expect(verdict(program, { nr: 0xffffffff, arch, args: [] })).toBe(spec.fallback.kind)
  })

  it('fits well below the kernel’s limit of 4096 instructions', () => expect(program.length).toBeLessThan(1024))
})
