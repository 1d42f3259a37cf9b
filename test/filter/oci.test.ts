/** Imported profiles against a second reading of their documents, for every known call and the edges of every condition. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { payloadFilter } from '../../src/filter/build.js'
import { lifted, type OciProfile } from '../../src/filter/oci.js'
import { asking, inTurn, ociProgram } from '../../src/filter/program.js'
import { SYSCALLS } from '../../src/filter/syscalls.gen.js'
import { buildPlan } from '../../src/plan/build.js'
import { loadOci } from '../../src/policy/oci-file.js'
import { nodeFs } from '../../src/profile/fs.js'
import { ROOT, resolveOn } from '../profile/fake.js'
import { checked, compileBytes } from './compile.js'
import { AUDIT_ARCH, type SeccompData, verdict } from './evaluator.js'
import { applying, corners, type Document, namesOf, oracle } from './oci-oracle.js'
import { ARCHES, VARIANTS } from './profiles.js'

const folder = fileURLToPath(new URL('fixtures/', import.meta.url))
const FILES = readdirSync(folder)
const KERNELS = ['4.7.10', '5.15.0-91-generic', '6.12']
const FALLBACKS = ['clone3', 'openat2']

const written = { value: 'x.json', field: 'syscalls.oci', origin: 'a test: syscalls.oci' }
const load = (file: string, arch: (typeof ARCHES)[0], kernel: string, allow: string[] = []): OciProfile =>
  loadOci(written, `${folder}${file}`, allow, nodeFs, { arch, kernel })
const tables = new Map(
  ARCHES.flatMap((arch) => VARIANTS.map((v) => [`${arch}${v.name}`, compileBytes(payloadFilter(arch, v).spec)]))
)

describe.each(FILES)('%s', (file) => {
  const document = JSON.parse(readFileSync(`${folder}${file}`, 'utf8')) as Document

  it.each(ARCHES.flatMap((arch) => KERNELS.map((kernel) => [arch, kernel] as const)))(
    'means the same on %s, Linux %s',
    (arch, kernel) => {
      const rules = applying(document, arch, kernel)
      const alone = checked(ociProgram(load(file, arch, kernel), arch))
      let compared = 0
      for (const [name, numbers] of Object.entries(SYSCALLS)) {
        const nr = numbers[arch]
        if (nr === undefined || FALLBACKS.includes(name)) continue
        for (const args of corners(rules, name)) {
          const [got, want]: [string, string] = [
            verdict(alone, { nr, arch: AUDIT_ARCH[arch], args }),
            oracle(document, rules, name, args)
          ]
          if (got !== want) expect.fail(`${name}(${args.map((a) => a.toString(16))}): ${got}, not ${want}`)
          compared++
        }
      }
      expect(compared).toBeGreaterThan(1000)
    }
  )

  it.each(ARCHES.flatMap((arch) => VARIANTS.map((variant) => [arch, variant] as const)))(
    'a call passes if the profile and the table let it: %s $name',
    (arch, variant) => {
      const rules = applying(document, arch, '6.12')
      const bytes = tables.get(`${arch}${variant.name}`) as Uint8Array
      const table = checked(bytes)
      const both = checked(inTurn(asking(ociProgram(load(file, arch, '6.12'), arch)), bytes))
      for (const [name, numbers] of Object.entries(SYSCALLS)) {
        const nr = numbers[arch]
        if (nr === undefined) continue
        for (const args of corners(rules, name)) {
          const data: SeccompData = { nr, arch: AUDIT_ARCH[arch], args }
          const said = FALLBACKS.includes(name) ? 'allow' : oracle(document, rules, name, args)
          const want: string = said === 'allow' ? verdict(table, data) : said === 'kill' ? 'kill' : 'notify'
          const got: string = verdict(both, data)
          if (got !== want) expect.fail(`${name}(${args.map((a) => a.toString(16))}): ${got}, not ${want}`)
        }
      }
      // Foreign architectures, x32 and unknown numbers are as without the profile, or refused.
      for (const of of [AUDIT_ARCH.i386, AUDIT_ARCH.arm]) expect(verdict(both, { nr: 3, arch: of })).toBe('kill')
      if (arch === 'x64') expect(verdict(both, { nr: 0x40000001, arch: AUDIT_ARCH.x64 })).toBe('kill')
      expect(verdict(both, { nr: 599, arch: AUDIT_ARCH[arch] })).toBe('notify')
    }
  )

  it('what syscalls.allow names is not narrowed', () => {
    const name = (rule: (typeof document.syscalls)[0]) => namesOf(rule).find((one) => SYSCALLS[one]?.x64 !== undefined)
    const conditional = applying(document, 'x64', '6.12').filter(({ args }) => args?.length)
    expect(conditional.length).toBeGreaterThan(3)
    for (const rule of conditional) {
      const called = name(rule) as string
      const program = checked(ociProgram(lifted(load(file, 'x64', '6.12'), [called]), 'x64'))
      const nr = SYSCALLS[called]?.x64 as number
      for (const args of corners([rule], called))
        expect(verdict(program, { nr, arch: AUDIT_ARCH.x64, args })).toBe('allow')
    }
  })
})

it('the shapes of engines cover what they are to show', () => {
  for (const file of ['docker-shaped.json', 'podman-shaped.json']) {
    const { syscalls } = JSON.parse(readFileSync(`${folder}${file}`, 'utf8')) as Document
    expect(syscalls.flatMap(namesOf).length).toBeGreaterThan(400)
    for (const name of ['personality', 'clone', 'socket', 'ptrace'])
      expect(
        syscalls.some((rule) => namesOf(rule).includes(name) && (rule.args ?? rule.excludes ?? rule.includes))
      ).toBe(true)
  }
})

describe('of several layers', () => {
  const FIXTURES = ['docker-shaped.json', 'podman-shaped.json'].map((file) => readFileSync(`${folder}${file}`, 'utf8'))
  const only = (name: string) =>
    JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: [name], action: 'SCMP_ACT_ERRNO' }] })
  const LAX = JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW' })

  /** The filter of a launch whose layers import these, the last of them a project's. */
  const filterOf = (texts: string[]) => {
    const layers = texts.map((_, i) => ({
      origin: `layer${i}`,
      config: { syscalls: { oci: `/oci${i}.json` } },
      ...(i > 0 && i === texts.length - 1 ? { narrows: true } : {})
    }))
    const tree = Object.fromEntries(texts.map((text, i) => [`/oci${i}.json`, text]))
    const profile = resolveOn({ tree, facts: ROOT, profile: { name: 't', purpose: 't', layers, files: [] } })
    const facts = { ...ROOT, landlockAbi: 6 }
    const options = { compile: compileBytes, auditHead: '', control: false, auditFile: false }
    return checked(buildPlan(profile, facts, options).plan.payloadFilter)
  }
  const passes = (program: ReturnType<typeof checked>, name: string, args = [0n, 0n, 0n, 0n, 0n, 0n]) =>
    verdict(program, { nr: SYSCALLS[name]?.x64 as number, arch: AUDIT_ARCH.x64, args }) === 'allow'

  it('each only takes away, whatever the others say and whichever comes last', () => {
    const each = ['getcwd', 'uname', 'sync'] as const
    for (const order of [each, [...each].reverse()]) {
      const chain = filterOf(order.map(only))
      expect(each.filter((name) => passes(chain, name))).toEqual([])
      expect(passes(chain, 'getpid')).toBe(true)
    }
    expect(passes(filterOf([only('getcwd'), LAX]), 'getcwd')).toBe(false)
    expect(passes(filterOf([LAX, LAX]), 'getcwd')).toBe(true)
  })

  it('a call passes the chain where it passes each alone', () => {
    const alone = FIXTURES.map((text) => filterOf([text]))
    const chain = filterOf(FIXTURES)
    const seen = { passed: 0, refused: 0 }
    for (const name of Object.keys(SYSCALLS).filter((one) => SYSCALLS[one]?.x64 !== undefined))
      for (const text of FIXTURES)
        for (const args of corners(applying(JSON.parse(text), 'x64', '6.1'), name)) {
          const got = passes(chain, name, args)
          if (got !== alone.every((one) => passes(one, name, args))) expect.fail(`${name}(${args})`)
          seen[got ? 'passed' : 'refused']++
        }
    expect(seen.passed).toBeGreaterThan(500)
    expect(seen.refused).toBeGreaterThan(100)
  })
})
