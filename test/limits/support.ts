import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect } from 'vitest'
import type { AuditLog, JailExit, SandboxConfig } from '../../src/index.js'
import type { Protection, ProtectionName } from '../../src/profile/types.js'
import { as, own, type User, users } from '../support/user.js'

export { type User, users }

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
export const HOG = at('../../build/Release/test-tools/hog')
export const MB = 2 ** 20

/** What is done to a running jail, in order; waiting for a line or an event ends with the jail. */
export type Step = ['line' | 'event' | 'signal', string] | ['sleep', number] | ['kill' | 'pause' | 'resume' | 'stats']

export interface Hogging {
  /** `hog`'s words, or a whole command with `argv`. */
  hog?: string[]
  argv?: string[]
  config?: SandboxConfig
  script?: Step[]
}

export interface Outcome {
  stdout: string
  stderr: string
  exit: JailExit
  events: AuditLog[]
  protections: Protection[]
  // biome-ignore lint/suspicious/noExplicitAny: as qi-monitor sent it
  stats: any[]
  /** Steps that failed, or that the jail had to be ended. */
  failures: string[]
  ms: number
  error?: { code: string; message: string; stepName?: string; errno?: string }
}

/** A limit that this host cannot hold is the subject of these tests, not an obstacle. */
const TOLERATE: ProtectionName[] = ['memoryLimit', 'cpuLimit', 'processLimit', 'ioLimit', 'landlockFs', 'landlockNet']
const TOLERATE_MORE: ProtectionName[] = ['landlockScope', 'mandatoryDenies']

class Runner {
  private readonly child: ChildProcess
  private readonly lines: AsyncIterator<string>
  private turn: Promise<unknown> = Promise.resolve()

  constructor(user: User) {
    const [file, args] = as(user, [process.execPath, at('runner.mjs')])
    const env = file === 'setpriv' ? { PATH: process.env.PATH, HOME: '/nonexistent' } : process.env
    this.child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'], env, cwd: '/' })
    const reader: Interface = createInterface({ input: this.child.stdout as NodeJS.ReadableStream })
    this.lines = reader[Symbol.asyncIterator]()
  }

  run(request: object): Promise<{ results: Outcome[]; left: string[] }> {
    const answer = this.turn.then(async () => {
      this.child.stdin?.write(`${JSON.stringify(request)}\n`)
      return JSON.parse((await this.lines.next()).value)
    })
    this.turn = answer.catch(() => {})
    return answer
  }

  stop(): void {
    this.child.stdin?.end()
  }
}

const runners = new Map<User, Runner>()
const folders: string[] = []

afterAll(() => {
  for (const runner of runners.values()) runner.stop()
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** Runs them at once, in jails that `user` launches. Nothing of them may be left. */
export async function hogs(user: User, all: Hogging[]): Promise<Outcome[]> {
  const markers = all.map(() => randomUUID())
  const jails = all.map(({ hog, argv, config = {}, script }, i) => ({
    argv: argv ?? [HOG, ...(hog as string[]), '--marker', markers[i]],
    config: { tolerate: [...TOLERATE, ...TOLERATE_MORE], ...config },
    script
  }))
  let runner = runners.get(user)
  if (!runner) {
    runner = new Runner(user)
    runners.set(user, runner)
  }
  const { results, left } = await runner.run({ jails, markers })
  for (const result of results) expect(result.error).toBeUndefined()
  for (const result of results) expect(result.failures).toEqual([])
  expect(left).toEqual([])
  return results
}

export async function hog(user: User, request: Hogging): Promise<Outcome> {
  return (await hogs(user, [request]))[0] as Outcome
}

export const stateOf = ({ protections }: Outcome, name: ProtectionName) =>
  protections.find((one) => one.name === name)?.state

/** Who holds the memory limit: what the launch itself reports decides what a test may expect. */
export const backendOf = (outcome: Outcome): 'cgroup' | 'watchdog' =>
  stateOf(outcome, 'memoryLimit') === 'enforced' ? 'cgroup' : 'watchdog'

/** The most that hog said it had. */
export const reached = ({ stdout }: Outcome): number =>
  Math.max(0, ...[...stdout.matchAll(/^(?:reached|OK|E[A-Z]+) (\d+)$/gm)].map((match) => Number(match[1])))

/** hog's last line. */
export const lastLine = ({ stdout }: Outcome): string => stdout.trimEnd().split('\n').at(-1) ?? ''

export const parametersOf = ({ events }: Outcome, action: string): Record<string, unknown>[] =>
  events.filter((one) => one.event.action === action).map((one) => one.context.parameters as Record<string, unknown>)

/** A folder of the user's own on a disk, whose page cache is the host's to drop; undefined where there is none. */
export function onDisk(user: User): string | undefined {
  const TMPFS = 0x01021994
  for (const parent of ['/var/tmp', tmpdir(), at('..')]) {
    try {
      if (statfsSync(parent).type === TMPFS) continue
      const path = mkdtempSync(`${parent}/qi-limits-`)
      folders.push(path)
      own(path, user)
      return path
    } catch {}
  }
  return undefined
}

interface Sample {
  ticks: number
  failed: number
  us: number
}

/**
 * Somebody else on the host, whose progress is measured while the hogs are at work. Ratios only: how fast a machine is says
 * nothing, and others may be at work on it, so that idleness is measured again before anything is said to be too slow. A
 * twentieth is far from what a host that is down gives.
 */
export function bystander(): { meanwhile: <T>(work: () => Promise<T>) => Promise<T> } {
  const LEAST = 0.05
  let child: ChildProcess
  let idle = 0
  const samples: Sample[] = []
  const rate = (some: Sample[]) => some.reduce((n, one) => n + one.ticks, 0) / some.reduce((n, one) => n + one.us, 0)
  const more = async (count: number) => {
    const begin = samples.length
    while (samples.length < begin + count) await new Promise((resolve) => setTimeout(resolve, 20))
    return samples.slice(begin)
  }
  beforeAll(async () => {
    child = spawn(HOG, ['ticks', '3000'], { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const [, ticks, failed, us] = line.match(/^ticks (\d+) failed (\d+) us (\d+)$/)?.map(Number) ?? []
      samples.push({ ticks: ticks as number, failed: failed as number, us: us as number })
    })
    idle = rate(await more(10))
  })
  afterAll(() => child.stdin?.end())
  return {
    meanwhile: async (work) => {
      const before = samples.length
      const result = await work()
      const now = samples.slice(before)
      if (now.length < 3) return result // over too soon to have slowed anybody
      expect(now.reduce((n, one) => n + one.failed, 0)).toBe(0)
      if (rate(now) / idle < LEAST) idle = rate(await more(10))
      expect(rate(now) / idle).toBeGreaterThan(LEAST)
      return result
    }
  }
}

/** Before Linux 5.14 RLIMIT_NPROC counts all processes of a user, which the launch says: a jail may have fewer. */
export const ofTheJail = ({ protections }: Outcome) =>
  !protections.some(({ name, reason }) => name === 'processLimit' && reason.includes('before Linux 5.14'))
export const NOT_OF_THE_JAIL = 'before Linux 5.14 processes are counted for each user'
