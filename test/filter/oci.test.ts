/** Imported profiles against a second reading of their documents, for every known call and the edges of every condition. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { payloadFilter } from '../../src/filter/build.js'
import { lifted, type OciProfile } from '../../src/filter/oci.js'
import { asking, inTurn, ociProgram } from '../../src/filter/program.js'
import { SYSCALLS } from '../../src/filter/syscalls.gen.js'
import { loadOci } from '../../src/policy/oci-file.js'
import { nodeFs } from '../../src/profile/fs.js'
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
