/** The rules that look at arguments, each with its allowed and its refused side, on both architectures. */
import { describe, expect, it } from 'vitest'
import { payloadFilter } from '../../src/filter/build.js'
import { INTERFACE_IOCTLS, PLAIN_IOCTLS, REFUSED_IOCTLS } from '../../src/filter/ioctls.js'
import { SYSCALLS } from '../../src/filter/syscalls.gen.js'
import { compile } from './compile.js'
import { AUDIT_ARCH, verdict } from './evaluator.js'
import { ARCHES } from './profiles.js'

const GARBAGE = 0xdeadbeef00000000n
const SIGCHLD = 17
const CLONE_THREAD_FLAGS = 0x3d0f00
const O = { wronly: 1, rdwr: 2, creat: 0o100, trunc: 0o1000, tmpfile: 0o20200000, cloexec: 0o2000000 }
const CLONE_NEW = {
  time: 0x80,
  ns: 0x20000,
  cgroup: 0x2000000,
  uts: 0x4000000,
  ipc: 0x8000000,
  user: 0x10000000,
  pid: 0x20000000,
  net: 0x40000000
}

type Row = [call: string, args: (number | bigint)[], verdict: 'allow' | 'notify']
const each = (call: string, values: number[], place: (value: number) => number[], what: Row[2]): Row[] =>
  values.map((value) => [call, place(value), what])

/** All arguments here are of type int, unsigned int or mode_t. */
const COMMON: Row[] = [
  ['clone', [SIGCHLD], 'allow'],
  ['clone', [CLONE_THREAD_FLAGS], 'allow'],
  ['clone', [0x4000 | 0x100 | SIGCHLD], 'allow'], // vfork
  ...each('clone', Object.values(CLONE_NEW), (bit) => [bit | SIGCHLD], 'notify'),
  ['clone', [0x7e020000 | SIGCHLD], 'notify'],
  ['unshare', [0x200 | 0x400], 'allow'],
  ...each('unshare', Object.values(CLONE_NEW), (bit) => [bit], 'notify'),
  ['setns', [3, 0], 'notify'],

  ...['socket', 'socketpair'].flatMap((call): Row[] => [
    ...each(call, [1, 5, 1 | 0o2000000, 5 | 0o4000], (type) => [1, type, 0], 'allow'),
    ...each(call, [2, 3, 2 | 0o2000000], (type) => [1, type, 0], 'notify'), // the kernel makes RAW a datagram here
    ...[2, 10].flatMap((family): Row[] => [
      ...each(call, [0, 6], (protocol) => [family, 1 | 0o2004000, protocol], 'allow'),
      ...each(call, [0, 17], (protocol) => [family, 2 | 0o2000000, protocol], 'allow'),
      ...each(call, [17, 132, 262, 1], (protocol) => [family, 1, protocol], 'notify'), // UDP, SCTP, MPTCP, ICMP
      ...each(call, [6, 1, 58, 136], (protocol) => [family, 2, protocol], 'notify'), // TCP, ping, UDP-lite
      ...each(call, [3, 4, 5, 6], (type) => [family, type, 0], 'notify') // raw, RDM, seqpacket, DCCP
    ]),
    [call, [16, 3 | 0o2000000, 0], 'allow'],
    ...each(call, [2, 4, 6, 9, 12, 15, 16], (protocol) => [16, 3, protocol], 'notify'),
    // unspecified, AX.25, key, packet, RDS, CAN, TIPC, Bluetooth, ALG, NFC, vsock, KCM, XDP, MCTP
    ...each(call, [0, 3, 15, 17, 21, 29, 30, 31, 38, 39, 40, 41, 44, 45, -1], (family) => [family, 1, 0], 'notify')
  ]),
  ['connect', [3, 0, 16], 'notify'],
  ['bind', [3, 0, 16], 'notify'],
  ['sendto', [3, 4096, 10, 0, 0, 0], 'allow'],
  ['sendto', [3, 4096, 10, 0x4000, 0, 0], 'allow'],
  ['sendto', [3, 4096, 10, 0x20000000, 0, 0], 'notify'],
  ['sendmsg', [3, 4096, 0x4000], 'allow'],
  ['sendmsg', [3, 4096, 0x20004000], 'notify'],
  ['sendmmsg', [3, 4096, 2, 0x4000], 'allow'],
  ['sendmmsg', [3, 4096, 2, 0x20000000], 'notify'],

  ...each('ioctl', Object.values(PLAIN_IOCTLS), (command) => [0, command], 'allow'),
  ...each('ioctl', Object.values(INTERFACE_IOCTLS), (command) => [0, command], 'notify'),
  ...each(
    'ioctl',
    Object.values(REFUSED_IOCTLS).map(({ command }) => command),
    (command) => [0, command],
    'notify'
  ),
  ['ioctl', [0, 0], 'notify'],

  ...['chmod', 'fchmod'].flatMap((call): Row[] => [
    ...each(call, [0, 0o644, 0o777, 0o1777], (mode) => [0, mode], 'allow'),
    ...each(call, [0o4755, 0o2755, 0o6000, 0o7777], (mode) => [0, mode], 'notify')
  ]),
  ...['fchmodat', 'fchmodat2'].flatMap((call): Row[] => [
    ...each(call, [0, 0o644, 0o1777], (mode) => [0, 0o6000, mode], 'allow'),
    ...each(call, [0o4755, 0o2755], (mode) => [0, 0, mode], 'notify')
  ]),

  ['prctl', [15], 'allow'],
  ['prctl', [38, 1], 'allow'],
  ['prctl', [22, 2], 'allow'],
  ['prctl', [0x53564d41, 0], 'allow'],
  ['prctl', [47, 1], 'allow'],
  ...each('prctl', [2, 3, 4], (what) => [47, what], 'notify'),
  // dropping from the bounding set, securebits, SET_MM, speculation, user dispatch, core scheduling, SET_PTRACER
  ...each('prctl', [0, 24, 28, 35, 53, 59, 62, 0x59616d61, -1], (option) => [option], 'notify'),
  ...each('personality', [0, 0xffffffff], (persona) => [persona], 'allow'),
  ...each('personality', [8, 0x40000, 0x400000, 0xfffffffe], (persona) => [persona], 'notify'),
  ...each('seccomp', [0, 1, 2, 3], (operation) => [operation, 0], 'allow'),
  ['seccomp', [1, 1 | 4], 'allow'],
  ['seccomp', [1, 8], 'notify'],
  ['seccomp', [1, 8 | 32], 'notify'],
  ['seccomp', [4, 0], 'notify']
]

const openRows = (call: string, at: number, guarded: boolean): Row[] => {
  const row = (flags: number, mode: number, what: Row[2]): Row => [call, [...Array(at).fill(0), flags, mode], what]
  const made = guarded ? 'notify' : 'allow'
  return [
    row(0, 0o6777, 'allow'), // without O_CREAT the mode is a leftover
    row(O.rdwr | O.trunc | O.cloexec, 0o4000, 'allow'),
    row(O.creat | O.wronly, 0o644, made),
    row(O.tmpfile | O.rdwr, 0o600, made),
    row(O.creat, 0o4755, 'notify'),
    row(O.creat | O.rdwr, 0o2755, 'notify'),
    row(O.tmpfile | O.rdwr, 0o4755, 'notify')
  ]
}
const nodeRows = (call: string, at: number, guarded: boolean): Row[] => {
  const place = (mode: number) => [...Array(at).fill(0), mode, 0]
  return [
    ...each(call, [0o644, 0o100644, 0o010600, 0o140755, 0o101777], place, guarded ? 'notify' : 'allow'),
    ...each(call, [0o020644, 0o060644, 0o104755, 0o012755, 0o004755, 0o040755], place, 'notify')
  ]
}
const createRows = (guarded: boolean): Row[] => [
  ...openRows('open', 1, guarded),
  ...openRows('openat', 2, guarded),
  ['creat', [0, 0o644], guarded ? 'notify' : 'allow'],
  ['creat', [0, 0o4755], 'notify'],
  ...nodeRows('mknod', 1, guarded),
  ...nodeRows('mknodat', 2, guarded),
  ...['mkdir', 'mkdirat', 'symlink', 'symlinkat', 'link', 'linkat', 'rename', 'renameat', 'renameat2'].map(
    (call): Row => [call, [0, 0, 0, 0, 0], guarded ? 'notify' : 'allow']
  ),
  ...['unlink', 'unlinkat', 'rmdir'].map((call): Row => [call, [], 'allow'])
]

const VARIANTS = ARCHES.flatMap((arch) => [false, true].map((guardCreates) => ({ arch, guardCreates })))

describe.each(VARIANTS)('payload $arch guardCreates=$guardCreates', ({ arch, guardCreates }) => {
  const program = compile(payloadFilter(arch, { guardCreates, hostSockets: false }).spec)
  const judge = (call: string, args: bigint[]) => {
    const nr = SYSCALLS[call]?.[arch]
    return nr === undefined ? undefined : verdict(program, { nr, arch: AUDIT_ARCH[arch], args })
  }

  it('looks at the low half of int arguments, whatever the high half holds', () => {
    for (const [call, args, want] of [...COMMON, ...createRows(guardCreates)]) {
      const low = args.map((value) => BigInt.asUintN(32, BigInt(value)))
      // the one pointer among them
      const high = low.map((value, i) => (call === 'sendto' && i === 4 ? value : value | GARBAGE))
      for (const given of [low, high]) {
        expect([undefined, want], `${call}(${given.map((v) => `0x${v.toString(16)}`)})`).toContain(judge(call, given))
      }
    }
  })

  it('takes the whole of a pointer', () => {
    const sendTo = (pointer: bigint) => judge('sendto', [3n, 0n, 0n, 0n, pointer, 0n])
    expect(sendTo(0n)).toBe('allow')
    for (const pointer of [1n, 0x1_0000_0000n, 0x7f00_0000_0000n, GARBAGE]) expect(sendTo(pointer)).toBe('notify')
  })

  it('answers calls whose flags are in memory with ENOSYS', () => {
    for (const call of ['clone3', 'openat2']) expect(judge(call, [1n, 2n])).toBe('errno 38')
  })
})
