/** The evaluator against the running kernel, on calls that do no harm where they are let through. */
import { constants } from 'node:os'
import { describe, expect, it } from 'vitest'
import { payloadFilter } from '../../src/filter/build.js'
import { SYSCALLS } from '../../src/filter/syscalls.gen.js'
import type { Arch, FilterSpec } from '../../src/filter/types.js'
import { callUnder, compile } from './compile.js'
import { AUDIT_ARCH, verdict } from './evaluator.js'
import { CASES, VARIANTS } from './profiles.js'

const native = process.arch as Arch
/** No call of the list fails with it, so it can only come from the filter. */
const MARK = constants.errno.EXDEV
const GARBAGE = 0xdeadbeef00000000n
const HARMLESS: [string, ...(number | bigint)[]][] = [
  ['getpid'],
  ['clone3'],
  ['openat2'],
  ['mount'],
  ['ptrace', 0xffff],
  ['bpf', 0xffff],
  ['keyctl', 0xffff],
  ['setns', -1],
  ['io_uring_setup'],
  ['userfaultfd', 0xffff],
  ['perf_event_open'],
  ['file_setattr', -1],
  ['socket', 1, 1],
  ['socket', 1, 2],
  ['socket', 2, 1, 262],
  ['socket', 2n | GARBAGE, 1n | GARBAGE, 6n | GARBAGE],
  ['socket', 16, 3, 0],
  ['socket', 16, 3, 9],
  ['socket', 40, 1],
  ['connect', -1],
  ['bind', -1],
  ['sendto', -1],
  ['sendto', -1, 0, 0, 0, 4096],
  ['sendto', -1, 0, 0, 0, 1n << 40n],
  ['sendmsg', -1, 0, 0x20000000],
  ['ioctl', -1, 0x5401],
  ['ioctl', -1, 0x5412],
  ['ioctl', -1, 0x5412n | GARBAGE],
  ['ioctl', -1, 0x5413n | GARBAGE],
  ['chmod', 0, 0o644],
  ['chmod', 0, 0o4755],
  ['openat', -1, 0, 0, 0o4755],
  ['openat', -1, 0, 0o100, 0o4755],
  ['openat', -1, 0, 0o100, 0o755],
  ['mknodat', -1, 0, 0o020644],
  ['mknodat', -1, 0, 0o010644],
  ['unshare', 0x10000000],
  ['unshare', 0],
  ['clone', 0x10000000],
  ['prctl', 3],
  ['prctl', 35],
  ['personality', 0xffffffff],
  ['personality', 0x400000],
  ['seccomp', 1, 8],
  ['seccomp', 2]
]

const marked = (options: (typeof VARIANTS)[number]): FilterSpec => ({
  ...payloadFilter(native, options).spec,
  fallback: { kind: 'errno', errno: MARK }
})

describe.each(VARIANTS.map(marked))('the kernel', (spec) => {
  const program = compile(spec)

  it('decides like the evaluator', () => {
    for (const [name, ...values] of HARMLESS) {
      const nr = SYSCALLS[name]?.[native]
      if (nr === undefined) continue
      const args = values.map((value) => BigInt.asUintN(64, BigInt(value)))
      const said = verdict(program, { nr, arch: AUDIT_ARCH[native], args })
      const answered = callUnder(spec, nr, args)
      const text = `${name}(${args.map((a) => `0x${a.toString(16)}`)}): ${said}, kernel ${answered}`
      if (said === 'allow') expect(answered, text).not.toBe(MARK)
      else expect(`errno ${answered}`, text).toBe(said)
    }
  })

  it.runIf(native === 'x64')('kills the caller of an x32 number', () => {
    expect(callUnder(spec, 0x40000000 + 39, [])).toBe('SIGSYS')
  })
})

describe('the kernel', () => {
  it.each(CASES.filter(({ spec, title }) => spec.arch === native && title.startsWith('payload')))(
    'loads $title',
    ({ spec }) => {
      expect(callUnder(spec, SYSCALLS.getppid?.[native] ?? -1, [])).toBe(0)
    }
  )

  it.each(CASES.filter(({ spec, title }) => spec.arch === native && !title.startsWith('payload')))(
    'loads $title, which kills what is not listed',
    ({ spec, title }) => {
      const listed = title.startsWith('gateway')
        ? SYSCALLS.brk
        : title.startsWith('keeper')
          ? SYSCALLS.close
          : SYSCALLS.getpid
      expect(callUnder(spec, listed?.[native] ?? -1, [0n])).toBe(0)
      expect(callUnder(spec, SYSCALLS.execve?.[native] ?? -1, [])).toBe('SIGSYS')
    }
  )
})
