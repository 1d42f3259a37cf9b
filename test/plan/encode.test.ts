import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { loadAddon } from '../../src/launch/locate.js'
import { encodePlan } from '../../src/plan/index.js'
import { LAYOUT, PLAN_MAGIC, PLAN_VERSION, type Plan } from '../../src/plan/layout.gen.js'
import { planOf, profile, rootFacts } from './samples.js'

const check = (bytes: Uint8Array) => loadAddon().checkPlan(bytes)
const offsetOf = (name: string) => LAYOUT.Plan?.fields.find((field) => field.name === name)?.offset ?? -1

/** The same numbers in every run. */
function* numbers(seed = 1): Generator<number, never> {
  for (let x = seed; ; ) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0
    yield x
  }
}

const view = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)

/** What a reader of the bytes sees; independent of the encoder. */
function readText(bytes: Uint8Array, at: number): Buffer {
  const buffer = view(bytes)
  const offset = buffer.readUInt32LE(at)
  return buffer.subarray(offset, offset + buffer.readUInt32LE(at + 4))
}

const readTexts = (bytes: Uint8Array, name: string): Buffer[] => {
  const buffer = view(bytes)
  const at = offsetOf(name)
  const offset = buffer.readUInt32LE(at)
  return Array.from({ length: buffer.readUInt32LE(at + 4) }, (_, i) => readText(bytes, offset + 8 * i))
}

test('the bytes of a plan are always the same', () => {
  const bytes = encodePlan(planOf())
  expect(encodePlan(planOf())).toEqual(bytes)
  expect(Buffer.from(bytes).subarray(0, 12)).toEqual(
    Buffer.from(Uint32Array.of(PLAN_MAGIC, PLAN_VERSION, bytes.length).buffer)
  )
  expect({ length: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }).toMatchSnapshot()
})

test('what is encoded is what is read', () => {
  const plan = planOf(profile({ command: { file: '/usr/bin/node', argv: ['a', '', 'ü', 'a'], cwd: '/srv/app' } }))
  const bytes = encodePlan(plan)
  expect(check(bytes)).toBeNull()
  expect(readTexts(bytes, 'argv').map(String)).toEqual(plan.argv)
  expect(readTexts(bytes, 'envp').map(String)).toEqual(plan.envp)
  expect(readText(bytes, offsetOf('execPath')).toString()).toBe('/usr/bin/node')
})

test('equal arguments are as good as different ones', () => {
  const argv = ['echo', ...Array(19).fill('x'.repeat(100_000))]
  const bytes = encodePlan({ ...planOf(), argv })
  expect(check(bytes)).toBeNull()
  expect(readTexts(bytes, 'argv').map(String)).toEqual(argv)
})

test('arguments and environment need not be UTF-8', () => {
  const odd = [Buffer.from([0xff, 0xfe, 0x80]), Buffer.from(Array.from({ length: 255 }, (_, i) => i + 1))]
  const bytes = encodePlan({
    ...planOf(),
    argv: odd as unknown as string[],
    envp: [Buffer.from([0x41, 0x3d, 0xc3])] as unknown as string[]
  })
  expect(check(bytes)).toBeNull()
  expect(readTexts(bytes, 'argv')).toEqual(odd)
  expect(readTexts(bytes, 'envp')).toEqual([Buffer.from([0x41, 0x3d, 0xc3])])
})

test('ten thousand arguments, and one of a megabyte', () => {
  const argv = [...Array.from({ length: 10_000 }, (_, i) => `argument ${i}`), 'x'.repeat(1 << 20)]
  const bytes = encodePlan({ ...planOf(), argv })
  expect(check(bytes)).toBeNull()
  expect(readTexts(bytes, 'argv').map(String)).toEqual(argv)
})

const refused: [what: string, code: string, change: Partial<Plan>][] = [
  ['a NUL', 'QI_PLAN_TEXT', { argv: ['a\0b'] }],
  ['more than 16 MiB', 'QI_PLAN_TOO_LARGE', { argv: ['x'.repeat(17 << 20)] }],
  ['more than 65536 arguments', 'QI_PLAN_TOO_LARGE', { argv: Array.from({ length: 65_537 }, () => 'x') }]
]
test.each(refused)('%s is not encoded', (_what, code, change) => {
  expect(() => encodePlan({ ...planOf(), ...change })).toThrow(expect.objectContaining({ code }))
})

const invalid: [what: string, reason: string, change: Partial<Plan>][] = [
  ['no arguments', 'argv is empty', { argv: [] }],
  ['a relative command', 'execPath', { execPath: 'node' }],
  ['a cwd with dot segments', 'cwd', { cwd: '/srv/../etc' }],
  ['an empty cwd', 'cwd', { cwd: '' }],
  ['a double slash', 'cwd', { cwd: '/srv//app' }],
  ['a relative target', 'mount target', { mounts: planOf().mounts.map((op) => ({ ...op, target: 'x' })) }],
  ['dots in a source', 'mount source', { mounts: planOf().mounts.map((op) => ({ ...op, source: '/a/./b' })) }],
  ['dots in a Landlock path', 'Landlock', { landlockRules: [{ path: '/..', access: 1n }] }],
  ['a system call twice', 'ascending', { syscalls: [...planOf().syscalls.slice(0, 1), ...planOf().syscalls] }],
  ['no filter', 'filter', { payloadFilter: new Uint8Array() }],
  ['half an instruction', 'filter', { initFilter: new Uint8Array(12) }],
  ['a filter too long for the kernel', 'filter', { monitorFilter: new Uint8Array(8 * 4097) }]
]
test.each(invalid)('%s is refused by qi-monitor’s check', (_what, reason, change) => {
  expect(check(encodePlan({ ...planOf(), ...change }))).toContain(reason)
})

test('another magic, version or size is refused', () => {
  const change = (at: number, value: number) => {
    const bytes = Buffer.from(encodePlan(planOf()))
    bytes.writeUInt32LE(value, at)
    return check(bytes)
  }
  expect(change(0, 0)).toBe('plan magic')
  for (const version of [0, PLAN_VERSION + 1, 0xffffffff]) expect(change(4, version)).toBe('plan version')
  for (const size of [0, 1, 0xffffffff]) expect(change(8, size)).toBe('plan size field')
})

test('a plan that is cut anywhere is refused', () => {
  const bytes = encodePlan(planOf(profile(), rootFacts()))
  for (let length = 0; length < bytes.length; length += length < 300 ? 1 : 13) {
    const cut = Buffer.from(bytes.subarray(0, length))
    expect(check(cut)).not.toBeNull()
    // The size field says so already; one that lies must not help.
    if (length >= 12) cut.writeUInt32LE(length, 8)
    if (length < bytes.length - 8) expect(check(cut)).not.toBeNull()
  }
})

test('whatever bits are flipped, the check answers', () => {
  const bytes = encodePlan(planOf(profile(), rootFacts()))
  const random = numbers()
  let refusals = 0
  for (let i = 0; i < 20_000; i++) {
    const bad = Buffer.from(bytes)
    // Most of what matters lies in the first kilobytes: lengths, offsets, counts.
    const within = i % 2 ? 232 : bytes.length
    for (let flips = random.next().value % 4; flips >= 0; flips--) {
      const at = random.next().value % within
      bad[at] = (bad[at] ?? 0) ^ (1 << (random.next().value % 8))
    }
    if (check(bad) !== null) refusals++
  }
  expect(refusals).toBeGreaterThan(5000)
})
