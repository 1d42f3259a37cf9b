import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test, vi } from 'vitest'
import { skipUnless } from '../support/skip.js'

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const { apiInstructions, launchOf, rolesOf } = await import(at('bench/instructions.mjs'))
const tool = at('build/Release/test-tools/instructions')
const folder = mkdtempSync(join(tmpdir(), 'qi-instructions-'))

interface Program {
  process: number
  parent: number
  program: string
  instructions: number
}

/** An x86-64 program of no library. */
function program(name: string, ...hex: string[]): string {
  skipUnless(process.arch === 'x64', 'needs an x86_64 kernel')
  const BASE = 0x400000
  const HEADERS = 64 + 56
  const code = Buffer.from(hex.join(''), 'hex')
  const elf = Buffer.alloc(HEADERS)
  elf.write('\x7fELF\x02\x01\x01', 'latin1')
  elf.writeUInt32LE(62 * 0x10000 + 2, 16) // x86-64, executable
  elf.writeUInt32LE(1, 20)
  elf.writeUInt32LE(BASE + HEADERS, 24) // where it begins
  elf.writeUInt32LE(64, 32) // the one segment is told of here
  elf.writeUInt32LE(56 * 0x10000 + 64, 52)
  elf.writeUInt32LE(1, 56)
  elf.writeUInt32LE(1, 64) // it is loaded,
  elf.writeUInt32LE(5, 68) // to be read and executed,
  elf.writeUInt32LE(BASE, 80)
  for (const field of [96, 104]) elf.writeUInt32LE(HEADERS + code.length, field) // whole
  const path = join(folder, name)
  writeFileSync(path, Buffer.concat([elf, code]), { mode: 0o755 })
  return path
}

const word = (value: number) => Buffer.from(Uint32Array.of(value).buffer).toString('hex')
const SYSCALL = '0f05'
const call = (number: number) => `b8${word(number)}${SYSCALL}` // mov eax, number
/** mov ecx, rounds; again: dec ecx; jnz again */
const around = (rounds: number) => `b9${word(rounds)}ffc975fc`
/** mov edi, status; exit */
const end = (status = 0) => `bf${word(status)}${call(60)}`
/** mov edi, eax; mov esi, signal; kill, of who getpid says */
const killSelf = (signal: number) => `${call(39)}89c7be${word(signal)}${call(62)}`
const FORK = call(57)

const loop = (name: string, rounds: number, status = 0) => program(name, around(rounds), end(status))

/** The return of its exec, the two of each round, and three around them: its exit does not return. */
const stepsOf = (rounds: number) => 2 * rounds + 4

function count(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(tool, argv, { encoding: 'utf8' })
  const json = stdout.split('\n').find((line) => line.startsWith('{'))
  return { status, stdout, stderr, counted: json === undefined ? undefined : JSON.parse(json) }
}

const isGone = (pid: number) => {
  try {
    return !process.kill(pid, 0)
  } catch {
    return true
  }
}

afterAll(() => rmSync(folder, { recursive: true }))

test.each([1, 2, 1000, 1001])('a loop of two instructions, %d times, counts exactly', (rounds) => {
  const { status, counted } = count('--', loop('looping', rounds, 7))
  const instructions = stepsOf(rounds)
  expect({ status, counted }).toEqual({
    status: 7,
    counted: { status: 7, total: instructions, programs: [{ process: 1, parent: 0, program: 'looping', instructions }] }
  })
})

test('a fork is two, of which the new one begins behind the call', () => {
  const { counted } = count('--', program('forking', FORK, around(10), end()))
  expect(counted.programs).toEqual([
    { process: 1, parent: 0, program: 'forking', instructions: stepsOf(10) + 2 },
    { process: 2, parent: 1, program: 'forking', instructions: stepsOf(10) - 1 }
  ])
  expect(counted.total).toBe(2 * stepsOf(10) + 1)
})

test('every process and every program counts apart, also when several run at once', () => {
  const [few, many] = [loop('few', 10), loop('many', 3000)]
  const script = `${many} & ${few} & ${few}; wait; exec ${many}`
  const { status, counted } = count('--from', 'few', '--from', 'many', '--', 'sh', '-c', script)
  const own = (name: string) => counted.programs.filter(({ program }: Program) => program === name)
  const [instructions, others] = [stepsOf(10), stepsOf(3000)]
  expect(own('few')).toMatchObject([{ instructions }, { instructions }])
  expect(own('many')).toMatchObject([{ instructions: others }, { instructions: others }])
  expect(own('many').map(({ parent }: Program) => parent)).toEqual([1, 0]) // the last one is the shell's process
  expect({ status, total: counted.total }).toEqual({ status: 0, total: 2 * (instructions + others) })
})

test('--from begins at a program, --except leaves some out', () => {
  const [one, two, three] = [loop('one', 100), loop('two', 200), loop('three', 300)]
  const shell = join(folder, 'inner')
  symlinkSync('/bin/sh', shell)
  const argv = ['--from', 'inner', '--except', 'two', '--', 'sh', '-c', `${one}; ${shell} -c '${two}; ${three}; :'`]
  const programs: Program[] = count(...argv).counted.programs
  expect(new Set(programs.map(({ program }) => program))).toEqual(new Set(['inner', 'three']))
  expect(programs.find(({ program }) => program === 'three')?.instructions).toBe(stepsOf(300))
})

test('what is not counted begins when the others sleep', () => {
  const letter = (at: number) => ['be', word(0x400000 + at), 'ba', word(1), 'bf', word(1), call(1)].join('')
  const counted = program('counted', around(100_000), letter(1), end())
  const begun = program('begun', letter(2), end())
  const { stdout } = count('--from', 'counted', '--except', 'begun', '--', 'sh', '-c', `${begun} & ${counted}; wait`)
  expect(stdout).toMatch(/^EL\{/) // of the file's own beginning
})

test.each([
  ['TERM', 15],
  ['TRAP, which is no step', 5]
])('a command that kills itself by SIG%s gives its status', (_name, signal) => {
  const status = 128 + signal
  const { counted, ...run } = count('--', program('killed', killSelf(signal), around(9), end()))
  expect({ ...run, status: counted.status }).toMatchObject({ status, stderr: '' })
  expect(run.status).toBe(status)
  expect(counted.total).toBe(7) // with the return of its exec; the kill does not return
})

test('signals come once each', () => {
  const script = `for i in USR1 TRAP; do trap "echo $i" $i; kill -$i $$; done; :`
  const { stdout, status } = count('--', 'sh', '-c', script)
  expect({ got: stdout.split('\n').slice(0, 3), status }).toEqual({
    got: ['USR1', 'TRAP', expect.stringMatching(/^\{/)],
    status: 0
  })
})

test('who is stopped stays so until it is continued', () => {
  const waker = `(sleep 0.5; echo before; while kill -CONT $$; do sleep 0.05; done) 2>/dev/null &`
  const script = `${waker} kill -STOP $$; echo after; exec ${loop('woken', 5)}`
  const { stdout, counted } = count('--from', 'woken', '--', 'sh', '-c', script)
  expect(stdout.split('\n').slice(0, 2)).toEqual(['before', 'after'])
  expect(counted.total).toBe(stepsOf(5))
})

test.each([
  [['--max', '1000', '--', 'sh', '-c', 'while :; do :; done'], 'too many instructions (--max)'],
  [['--seconds', '1', '--', 'sleep', '1000'], 'not over in time (--seconds)'],
  [['--seconds', '1', '--from', 'never', '--', 'sleep', '1000'], 'not over in time (--seconds)'],
  [['--from', 'never', '--', 'true'], '(--from, --except)'],
  [['--max', '0', '--', 'true'], 'not a number'],
  [['--seconds', '1x', '--', 'true'], 'not a number'],
  [['--no-such-flag', '--', 'true'], 'usage: instructions'],
  [[], 'usage: instructions']
])('%j is an error, without a figure', (argv, message) => {
  const { status, stdout, stderr } = count(...argv)
  expect({ status, stdout }).toEqual({ status: 125, stdout: '' })
  expect(stderr).toContain(message)
})

test('a command that is not there is told, and --help is no error', () => {
  const { status, stdout, stderr } = count('--', '/no/such/command')
  expect({ status, stdout }).toEqual({ status: 127, stdout: '' })
  expect(stderr).toBe('instructions: cannot execute /no/such/command: No such file or directory\n')
  expect(count('--help')).toMatchObject({ status: 0, stderr: '', stdout: expect.stringContaining('usage: ') })
})

test.each(['a limit', 'its own death'])('nothing that it started is left by %s', async (how) => {
  const limits = how === 'a limit' ? ['--seconds', '2'] : []
  const script = 'sleep 1000 & echo $! $$; wait'
  const child = spawn(tool, ['--from', 'never', ...limits, '--', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'ignore']
  })
  const ended = once(child, 'exit')
  const [line] = await once(child.stdout, 'data')
  const pids = String(line).trim().split(' ').map(Number)
  try {
    expect(pids.map(isGone)).toEqual([false, false])
    if (limits.length === 0) child.kill('SIGKILL')
    await ended
    await vi.waitUntil(() => pids.every(isGone), { timeout: 30_000 })
  } finally {
    for (const pid of pids) if (!isGone(pid)) process.kill(pid, 'SIGKILL')
  }
})

test('roles of a launch', () => {
  const of = (process: number, parent: number, program: string, instructions: number) => ({
    ...{ process, parent },
    ...{ program, instructions }
  })
  const [script, monitor] = [of(1, 0, 'qi-jail', 1), of(1, 0, 'qi-monitor', 10)]
  const others = [of(2, 1, 'qi-monitor', 100), of(3, 1, 'qi-monitor', 1000), of(4, 3, 'qi-monitor', 10000)]
  const roles = rolesOf([script, monitor, ...others])
  const names = { keeper: 100, 'pid 1': 1000, 'payload, until its exec': 10000 }
  expect(roles).toEqual({ script: 1, 'qi-monitor': 10, ...names })
  expect(launchOf(roles)).toBe(11110)
  expect(() => rolesOf([script, monitor])).toThrow('not a launch from a kept plan')
  expect(() => rolesOf([script])).toThrow('not a launch from a kept plan')
})

// The shorter one, a quarter of a minute; that two launches take the same is for bench:check.
test('a launch comes about when it is stepped', { timeout: 600_000 }, () => {
  const roles = apiInstructions({ PATH: process.env.PATH, HOME: folder })
  const some = expect.toSatisfy((count) => count > 1000)
  expect(roles).toMatchObject({ 'qi-monitor': some, 'pid 1': some, 'payload, until its exec': some })
})
