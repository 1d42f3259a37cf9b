/** What a policy changes of the table, and what permissive makes of its refusals. */
import { describe, expect, it } from 'vitest'
import { payloadFilter } from '../../src/filter/build.js'
import type { SyscallChoices } from '../../src/filter/choices.js'
import { SYSCALL_GROUPS } from '../../src/filter/named-groups.js'
import { FIXED, isOpen, NEEDED, ON_PROCESSES, openCalls } from '../../src/filter/refused.js'
import { SYSCALLS } from '../../src/filter/syscalls.gen.js'
import { payloadGroups } from '../../src/filter/table.js'
import { Verdict } from '../../src/plan/layout.gen.js'
import { compile } from './compile.js'
import { AUDIT_ARCH, verdict } from './evaluator.js'
import { ARCHES, LAST_NUMBER, VARIANTS } from './profiles.js'

const under = (arch: (typeof ARCHES)[0], choices?: SyscallChoices, more = {}) =>
  payloadFilter(arch, { guardCreates: false, hostSockets: false, ...(choices ? { choices } : {}), ...more })
const numberOf = (name: string, arch: (typeof ARCHES)[0]) => SYSCALLS[name]?.[arch]
const ARGUMENTS = [
  [0n, 0n, 0n, 0n, 0n, 0n],
  [0x10000000n, 4n, 7n, 1n, 0n, 0n],
  [0xffffffffn, 0xffffffffffffffffn, 0x7e020000n, 3n, 1n, 1n]
]

describe('the lists', () => {
  it('name known calls, each with the end of a sentence', () => {
    for (const name of [...FIXED.keys(), ...NEEDED, ...ON_PROCESSES]) expect(SYSCALLS, name).toHaveProperty([name])
    for (const reason of FIXED.values()) expect(reason).toMatch(/^(it|its|the|kernel) .*[^.]$/)
  })

  it.each(VARIANTS)('put every refused call in exactly one state, $name', (options) => {
    const groups = payloadGroups(options)
    for (const group of groups)
      for (const [name, cases] of Object.entries(group.calls)) {
        const refusedAlways =
          cases.length === 0 && (group.otherwise as { verdict?: number })?.verdict === Verdict.Refuse
        if (FIXED.has(name)) expect([name, cases]).toEqual([name, []])
        else if (refusedAlways) expect([name, isOpen(name, group)]).toEqual([name, true])
        if (FIXED.has(name)) expect([name, isOpen(name, group)]).toEqual([name, false])
      }
  })

  it('keep out what would undo the jail', () => {
    const open = openCalls()
    expect(open.sort()).toMatchSnapshot()
    for (const name of 'mount unshare clone clone3 setns bpf keyctl io_uring_setup userfaultfd perf_event_open'.split(
      ' '
    ))
      expect(open).not.toContain(name)
  })

  it('are not mixed in a named group', () => {
    for (const [name, { calls, purpose }] of Object.entries(SYSCALL_GROUPS)) {
      expect(name).toMatch(/^@[a-z-]+$/)
      expect([name, calls.length > 0, purpose.length > 0]).toEqual([name, true, true])
      expect([name, new Set(calls.map((call) => FIXED.has(call))).size]).toEqual([name, 1])
      expect([name, calls.filter((call) => NEEDED.has(call) || !(call in SYSCALLS))]).toEqual([name, []])
    }
  })
})

describe.each(ARCHES)('on %s', (arch) => {
  const plain = compile(under(arch).spec)
  const judge = (program: typeof plain, nr: number, args: bigint[]) =>
    verdict(program, { nr, arch: AUDIT_ARCH[arch], args })

  it('allow lets through the calls that it names, and changes nothing else', () => {
    const allow = openCalls()
    const { spec, syscalls } = under(arch, { allow, deny: [] })
    const program = compile(spec)
    for (let nr = 0; nr < LAST_NUMBER; nr++) {
      const named = allow.some((name) => numberOf(name, arch) === nr)
      for (const args of ARGUMENTS) expect(judge(program, nr, args)).toBe(named ? 'allow' : judge(plain, nr, args))
    }
    for (const name of allow) expect(syscalls.map((rule) => rule.name)).not.toContain(name)
  })

  it('allow of a call with conditions leaves the conditions', () => {
    const program = compile(under(arch, { allow: ['clone', 'prctl', 'socket', 'openat', 'ioctl'], deny: [] }).spec)
    for (let nr = 0; nr < LAST_NUMBER; nr++)
      for (const args of ARGUMENTS) expect(judge(program, nr, args)).toBe(judge(plain, nr, args))
  })

  it('deny sends every case to qi-monitor, whatever allows it, and leaves the rest', () => {
    const names = ['mkdirat', 'socket', 'ptrace', 'getcpu', 'prctl', 'kill', 'clone3']
    const deny = names.map((name) => ({ name, origin: `a test denies ${name}` }))
    const { spec, syscalls } = under(arch, { allow: names, deny })
    const program = compile(spec)
    for (let nr = 0; nr < LAST_NUMBER; nr++) {
      const denied = names.find((name) => name !== 'clone3' && numberOf(name, arch) === nr)
      for (const args of ARGUMENTS) expect(judge(program, nr, args)).toBe(denied ? 'notify' : judge(plain, nr, args))
      if (!denied) continue
      const rule = syscalls.find(({ number }) => number === nr)
      expect(rule).toMatchObject({
        number: nr,
        verdict: Verdict.Refuse,
        error: 1,
        name: denied,
        rule: `a test denies ${denied}`
      })
    }
    // Threads start by way of its ENOSYS.
    expect(judge(program, numberOf('clone3', arch) as number, [])).toBe('errno 38')
  })

  it('permissive changes no filter, and lets through what allow could, but for what is denied', () => {
    const deny = [{ name: 'kcmp', origin: 'a test' }]
    const strict = under(arch, { allow: [], deny })
    const permissive = under(arch, { allow: [], deny }, { permissive: true })
    expect(permissive.spec).toEqual(strict.spec)
    const permitted = permissive.syscalls.filter((rule) => rule.verdict === Verdict.Permit).map(({ name }) => name)
    const expected = openCalls().filter((name) => name !== 'kcmp' && numberOf(name, arch) !== undefined)
    expect(permitted.sort()).toEqual(expected.sort())
    expect(strict.syscalls.filter((rule) => rule.verdict === Verdict.Permit)).toEqual([])
    const shared = under(arch, { allow: [], deny }, { permissive: true, sharedProcesses: true })
    const reaching = shared.syscalls.filter(({ name, verdict: v }) => v === Verdict.Permit && ON_PROCESSES.has(name))
    expect(reaching).toEqual([])
  })

  it('with an imported profile qi-monitor knows every call but those answered with ENOSYS', () => {
    const { syscalls } = under(arch, undefined, { imported: true })
    const known = Object.keys(SYSCALLS).filter(
      (name) => numberOf(name, arch) !== undefined && !/^(clone3|openat2)$/.test(name)
    )
    expect(syscalls.map(({ name }) => name).sort()).toEqual(known.sort())
  })
})
