import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { gatewayFilter, initFilter, keeperFilter, monitorFilter, payloadFilter } from '../../src/filter/build.js'
import { INTERFACE_IOCTLS, PLAIN_IOCTLS, REFUSED_IOCTLS } from '../../src/filter/ioctls.js'
import { SYSCALLS } from '../../src/filter/syscalls.gen.js'
import { payloadGroups } from '../../src/filter/table.js'
import type { FilterSpec } from '../../src/filter/types.js'
import { compile } from './compile.js'
import { AUDIT_ARCH, check, decode, verdict } from './evaluator.js'
import { ARCHES, CASES, VARIANTS } from './profiles.js'

describe('the numbers', () => {
  it('are generated from schema/syscalls.json', () => {
    const script = fileURLToPath(new URL('../../scripts/syscalls.mjs', import.meta.url))
    execFileSync(process.execPath, [script, '--check'])
  })

  it.each(ARCHES)('name each call of %s once', (arch) => {
    const numbers = Object.values(SYSCALLS).flatMap((of) => of[arch] ?? [])
    expect(new Set(numbers).size).toBe(numbers.length)
  })

  it('are shared by both architectures since Linux 5.1', () => {
    for (const { x64, arm64 } of Object.values(SYSCALLS)) if ((x64 ?? 0) >= 424) expect(arm64).toBe(x64)
  })
})

describe.each(VARIANTS)('the table, $name', (options) => {
  const groups = payloadGroups(options)

  it('has every known call in exactly one group', () => {
    expect(groups.flatMap(({ calls }) => Object.keys(calls)).sort()).toEqual(Object.keys(SYSCALLS).sort())
  })

  it('gives each group a name of its own, a reason, and an answer exactly where not all is allowed', () => {
    expect(new Set(groups.map(({ name }) => name)).size).toBe(groups.length)
    for (const { reason, calls, otherwise } of groups) {
      expect(reason).toMatch(/^[A-Z].*\.$/)
      const all = Object.values(calls).every((cases) => cases.some((args) => args.length === 0))
      expect(otherwise === undefined).toBe(all)
    }
  })

  it.each(ARCHES)('tells qi-monitor about exactly the known calls that %s can notify', (arch) => {
    const { spec, syscalls } = payloadFilter(arch, options)
    const settled = new Set(spec.rules.filter(({ args }) => args.length === 0).map(({ number }) => number))
    const known = Object.values(SYSCALLS).flatMap((of) => of[arch] ?? [])
    expect(syscalls.map(({ number }) => number)).toEqual(known.filter((nr) => !settled.has(nr)).sort((a, b) => a - b))
    for (const { error } of syscalls) expect(error).toBeGreaterThan(0)
  })
})

describe('every filter', () => {
  it.each(CASES)('$title obeys what libseccomp demands', ({ spec }) => {
    for (const { args } of spec.rules) {
      expect(new Set(args.map(({ arg }) => arg)).size).toBe(args.length)
      for (const { mask, value } of args) expect(value & ~mask).toBe(0n)
    }
  })

  it('keeps the supervisors from executing, tracing the jail, or making code', () => {
    const never = [
      'execve',
      'execveat',
      'ptrace',
      'clone',
      'clone3',
      'fork',
      'mount',
      'setns',
      'bpf',
      'process_vm_writev'
    ]
    for (const arch of ARCHES) {
      const specs = VARIANTS.flatMap((options) => [initFilter(arch, options), monitorFilter(arch, options)])
      for (const spec of [...specs, gatewayFilter(arch), keeperFilter(arch)]) {
        const program = compile(spec)
        const judge = (name: string, args: bigint[]) =>
          verdict(program, { nr: SYSCALLS[name]?.[arch] ?? 601, arch: AUDIT_ARCH[arch], args })
        for (const name of never) expect(judge(name, []), name).toBe('kill')
        expect(judge('mmap', [0n, 4096n, 7n])).toBe('kill')
        expect(judge('mprotect', [0n, 4096n, 5n])).toBe('kill')
      }
    }
  })

  it('lets qi-monitor openat for reading only, unless it makes names for the payload', () => {
    const open = (guardCreates: boolean, flags: bigint) => {
      const program = compile(monitorFilter('x64', { guardCreates, hostSockets: false }))
      return verdict(program, { nr: 257, arch: AUDIT_ARCH.x64, args: [0n, 0n, flags] })
    }
    expect(open(false, 0o2000000n)).toBe('allow')
    for (const flags of [0o1n, 0o2n, 0o100n, 0o1000n, 0o2000n, 0o20200000n]) {
      expect(open(false, flags)).toBe('kill')
      expect(open(true, flags)).toBe('allow')
    }
  })

  it('lets qi-monitor remove nothing but its control socket, unless it makes names for the payload', () => {
    const unlink = (options: { guardCreates: boolean; control: boolean }, flags: bigint) => {
      const program = compile(monitorFilter('x64', { hostSockets: false, ...options }))
      return verdict(program, { nr: 263, arch: AUDIT_ARCH.x64, args: [3n, 0n, flags] })
    }
    expect(unlink({ guardCreates: false, control: false }, 0n)).toBe('kill')
    expect(unlink({ guardCreates: false, control: true }, 0n)).toBe('allow')
    expect(unlink({ guardCreates: false, control: true }, 0x200n)).toBe('kill')
    expect(unlink({ guardCreates: true, control: true }, 0x200n)).toBe('allow')
  })

  it('lets qi-monitor change its file ids only where it connects to listed sockets for root', () => {
    for (const asCaller of [true, false]) {
      const program = compile(monitorFilter('x64', { guardCreates: false, hostSockets: false, asCaller }))
      for (const name of ['setfsuid', 'setfsgid', 'setresuid', 'setuid']) {
        const nr = SYSCALLS[name]?.x64 ?? 601
        const expected = asCaller && name.startsWith('setfs') ? 'allow' : 'kill'
        expect(verdict(program, { nr, arch: AUDIT_ARCH.x64, args: [0n] })).toBe(expected)
      }
    }
  })
})

describe('the keeper', () => {
  const judge = (name: string, args: bigint[], options = {}) =>
    verdict(compile(keeperFilter('x64', options)), { nr: SYSCALLS[name]?.x64 ?? 601, arch: AUDIT_ARCH.x64, args })

  it('sends no signal but KILL and removes nothing but folders, and a control socket where there is one', () => {
    expect(judge('kill', [7n, 9n])).toBe('allow')
    expect(judge('kill', [7n, 15n])).toBe('kill')
    expect(judge('unlinkat', [3n, 0n, 0x200n])).toBe('allow')
    expect(judge('unlinkat', [3n, 0n, 0n])).toBe('kill')
    expect(judge('unlinkat', [3n, 0n, 0n], { control: true })).toBe('allow')
  })

  it('opens, starts and talks to nothing', () => {
    for (const name of ['openat', 'open', 'socket', 'connect', 'fork', 'mmap', 'renameat2', 'rmdir', 'unlink', 'ioctl'])
      expect(judge(name, []), name).toBe('kill')
  })
})

describe('with sockets of the host', () => {
  const judge = (spec: FilterSpec, name: string, args: bigint[]) =>
    verdict(compile(spec), { nr: SYSCALLS[name]?.x64 ?? 601, arch: AUDIT_ARCH.x64, args })
  const on = { guardCreates: false, hostSockets: true }
  const off = { guardCreates: false, hostSockets: false }

  it('qi-monitor may make TCP sockets, and a child that has only a table of its own', () => {
    const spec = monitorFilter('x64', on)
    const OWN_TABLE = 0x4111n
    expect(judge(spec, 'clone', [OWN_TABLE])).toBe('allow')
    for (const flags of [17n, 0x10000n, OWN_TABLE | 0x400n, OWN_TABLE | 0x10000000n])
      expect(judge(spec, 'clone', [flags])).toBe('kill')
    expect(judge(spec, 'socket', [2n, 1n | 0o2000000n, 0n])).toBe('allow')
    for (const args of [
      [2n, 3n, 1n],
      [16n, 3n, 0n],
      [1n, 1n, 0n],
      [17n, 3n, 0n],
      [2n, 2n, 0n]
    ])
      expect(judge(spec, 'socket', args)).toBe('kill')
    for (const name of ['clone', 'socket', 'memfd_create', 'dup3', 'listen'])
      expect(judge(monitorFilter('x64', off), name, [OWN_TABLE, 1n, 0n])).toBe('kill')
  })

  it('the gateway opens, starts, binds and looks into nothing', () => {
    for (const name of [
      'openat',
      'open',
      'bind',
      'listen',
      'kill',
      'pidfd_getfd',
      'process_vm_readv',
      'memfd_create',
      'ioctl'
    ])
      expect(judge(gatewayFilter('x64'), name, [])).toBe('kill')
  })

  it.each([[on], [{ ...off, withoutNamespaces: { network: false, scoped: true } }]])(
    'the payload takes no lease, delegation or notice of a file: %j',
    (options) => {
      const { spec } = payloadFilter('x64', options)
      const [F_SETLEASE, F_NOTIFY, F_SETDELEG] = [1024n, 1026n, 1040n]
      const high = 1n << 32n // the kernel reads 32 bits of it
      for (const command of [F_SETLEASE, F_NOTIFY, F_SETDELEG, F_SETLEASE + high])
        expect(judge(spec, 'fcntl', [3n, command]), `${command}`).toBe('notify')
      for (const command of [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 37n, 38n, 1025n, 1030n, 1031n, 1033n])
        expect(judge(spec, 'fcntl', [3n, command]), `${command}`).toBe('allow')
    }
  )

  it('the payload makes no TCP socket, listens nowhere and sets no option by itself that could lead elsewhere', () => {
    const { spec } = payloadFilter('x64', on)
    expect(judge(spec, 'socket', [2n, 1n, 0n])).toBe('notify')
    expect(judge(spec, 'socket', [2n, 2n, 0n])).toBe('allow')
    expect(judge(spec, 'listen', [3n, 5n])).toBe('notify')
    expect(judge(spec, 'setsockopt', [3n, 6n, 1n])).toBe('allow')
    const elsewhere = [
      [0n, 4n],
      [41n, 57n],
      [41n, 6n],
      [1n, 25n],
      [1n, 62n],
      [0n, 50n],
      [41n, 76n],
      [6n, 30n],
      [6n, 31n],
      [6n, 19n],
      [0n, 42n],
      [1n, 26n],
      [255n, 1n]
    ]
    for (const [level = 0n, name = 0n] of elsewhere)
      expect(judge(spec, 'setsockopt', [3n, level, name]), `${level} ${name}`).toBe('notify')
    expect(judge(payloadFilter('x64', { ...off, sharedNetwork: true }).spec, 'setsockopt', [3n, 6n, 30n])).toBe('allow')
  })
})

describe('ioctl commands', () => {
  it('are either plain or refused', () => {
    const plain = new Set([...Object.values(PLAIN_IOCTLS), ...Object.values(INTERFACE_IOCTLS)])
    expect(plain.size).toBe(Object.keys(PLAIN_IOCTLS).length + Object.keys(INTERFACE_IOCTLS).length)
    for (const { command } of Object.values(REFUSED_IOCTLS)) expect(plain.has(command)).toBe(false)
  })
})

describe('the compiler', () => {
  const spec = (rules: Parameters<typeof compile>[0]['rules']) => ({
    arch: 'x64' as const,
    fallback: { kind: 'kill' as const },
    rules
  })
  const allow = { kind: 'allow' as const }
  const match = (arg: number, mask: bigint, value: bigint) => ({ arg, mask, value })

  it.each([
    ['two compares of one argument', { number: 1, action: allow, args: [match(0, 1n, 1n), match(0, 2n, 2n)] }],
    ['a seventh argument', { number: 1, action: allow, args: [match(6, 1n, 1n)] }],
    ['a value outside its mask, which could never match', { number: 1, action: allow, args: [match(0, 1n, 2n)] }],
    ['an x32 number', { number: 0x40000001, action: allow, args: [] }],
    ['an errno the kernel would cut', { number: 1, action: { kind: 'errno' as const, errno: 4096 }, args: [] }]
  ])('refuses %s', (_, rule) => expect(() => compile(spec([rule]))).toThrow('Invalid argument'))

  it('compares 64 bits where the mask does', () => {
    const program = compile(spec([{ number: 1, action: allow, args: [match(2, 0xffffffff00000000n, 5n << 32n)] }]))
    const judge = (value: bigint) => verdict(program, { nr: 1, arch: AUDIT_ARCH.x64, args: [0n, 0n, value] })
    expect([judge(5n << 32n), judge((5n << 32n) | 9n), judge(5n), judge(4n << 32n)]).toEqual([
      'allow',
      'allow',
      'kill',
      'kill'
    ])
  })
})

describe('the evaluator', () => {
  const program = (...rows: [number, number, number, number][]) => {
    const view = new DataView(new ArrayBuffer(rows.length * 8))
    rows.forEach(([code, jt, jf, k], i) => {
      view.setUint16(i * 8, code, true)
      view.setUint8(i * 8 + 2, jt)
      view.setUint8(i * 8 + 3, jf)
      view.setUint32(i * 8 + 4, k, true)
    })
    return decode(new Uint8Array(view.buffer))
  }
  type Row = [number, number, number, number]
  const load: Row = [0x20, 0, 0, 0]
  const allow: Row = [6, 0, 0, 0x7fff0000]
  const kill: Row = [6, 0, 0, 0x80000000]

  it.each([
    ['a jump past the end', program(load, [0x15, 0, 2, 1], allow, kill)],
    ['a missing return', program(load, [0x54, 0, 0, 1])],
    ['an instruction seccomp has not', program([0x28, 0, 0, 0], allow)],
    ['a load beyond the arguments', program([0x20, 0, 0, 64], allow)]
  ])('refuses %s', (_, bad) => expect(() => check(bad)).toThrow())

  it('compares without sign', () => {
    const sign = program(load, [0x35, 0, 1, 0x80000000], kill, allow)
    check(sign)
    expect(verdict(sign, { nr: 0xffffffff, arch: 0 })).toBe('kill')
    expect(verdict(sign, { nr: 0x7fffffff, arch: 0 })).toBe('allow')
  })
})
