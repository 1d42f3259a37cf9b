import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, expect } from 'vitest'
import { SYSCALLS } from '../../src/filter/syscalls.gen.js'
import type { AuditLog, JailExit, SandboxConfig } from '../../src/index.js'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
export const ACT = at('../../build/Release/test-tools/act')
export const isRoot = process.getuid?.() === 0

/** Who launches. `plain` is an id without an account. */
export type User = 'root' | 'plain'
export const users: User[] = isRoot ? ['root', 'plain'] : ['plain']
export const PLAIN_ID = 61235

/** A word of act's command line; numbers as the register holds them. */
export type Word = string | number
const arch = process.arch === 'arm64' ? 'arm64' : 'x64'

/** One system call by name, for `act call`. */
export function call(name: string, ...args: Word[]): string[] {
  const number = SYSCALLS[name]?.[arch]
  if (number === undefined) throw new Error(`no system call ${name} here`)
  return [String(number), ...args.map(String)]
}

/** Several calls, one after the other; `$K` is the result of call K. */
export const chain = (...calls: string[][]): string[] => calls.flatMap((c, i) => (i === 0 ? c : ['--', ...c]))

export interface Request {
  config?: SandboxConfig
  argv: string[]
  files?: ([path: string, flags: string] | null)[]
  cwd?: string
  env?: Record<string, string>
  killAfterMs?: number
  /** Layers to leave out: calls that the filter lets through, and Landlock altogether. */
  without?: { calls: string[]; landlock?: boolean }
}

export interface Result {
  stdout: string
  stderr: string
  exit: JailExit
  events: AuditLog[]
  error?: { code: string; message: string }
}

const runners = new Map<User, Runner>()

class Runner {
  private readonly waiting = new Map<number, (result: Result) => void>()
  private readonly child: ChildProcess
  private next = 0

  constructor(user: User) {
    const become = isRoot && user === 'plain'
    const drop = ['setpriv', `--reuid=${PLAIN_ID}`, `--regid=${PLAIN_ID}`, '--clear-groups', '--inh-caps=-all']
    const [file, ...args] = [...(become ? drop : []), process.execPath, at('runner.mjs')]
    const env = become ? { PATH: process.env.PATH, HOME: '/nonexistent' } : process.env
    this.child = spawn(file as string, args, { stdio: ['pipe', 'pipe', 'inherit'], env, cwd: '/' })
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const { id, ...result } = JSON.parse(line) as Result & { id: number }
      this.waiting.get(id)?.(result)
      this.waiting.delete(id)
    })
  }

  run(request: Request): Promise<Result> {
    const id = this.next++
    return new Promise((resolve) => {
      this.waiting.set(id, resolve)
      this.child.stdin?.write(`${JSON.stringify({ id, config: {}, ...request })}\n`)
    })
  }

  stop(): void {
    this.child.stdin?.end()
  }
}

/** Runs `argv` in a jail that `user` launches. */
export async function tryJailed(user: User, request: Request): Promise<Result> {
  let runner = runners.get(user)
  if (!runner) {
    runner = new Runner(user)
    runners.set(user, runner)
  }
  return runner.run(request)
}

const scratches: string[] = []

// Registered while the test file is collected: within a running test it would be too late.
afterAll(() => {
  for (const runner of runners.values()) runner.stop()
  for (const folder of scratches) rmSync(folder, { recursive: true, force: true })
})

/** The same; a launch that fails is a failure of the test. */
export async function jailed(user: User, request: Request): Promise<Result> {
  const result = await tryJailed(user, request)
  expect(result.error).toBeUndefined()
  return result
}

/** What `argv` prints outside any jail, as whoever runs the tests. */
export function bare(argv: string[], options: { cwd?: string; as?: User } = {}): string {
  const drop = ['setpriv', `--reuid=${PLAIN_ID}`, `--regid=${PLAIN_ID}`, '--clear-groups']
  const [file, ...args] = options.as === 'plain' && isRoot ? [...drop, ...argv] : argv
  const run = spawnSync(file as string, args, {
    encoding: 'utf8',
    timeout: 120_000, // emulated, setting up namespaces alone may take half a minute
    ...(options.cwd ? { cwd: options.cwd } : {})
  })
  return run.signal ? `signal ${run.signal}` : `${run.stdout}${run.status === 0 ? '' : run.stderr}`.trim()
}

/** In namespaces of its own, where root's rights are harmless. */
export const PRIVATE = [
  'unshare',
  '--user',
  '--map-root-user',
  '--mount',
  '--pid',
  '--fork',
  '--uts',
  '--ipc',
  '--net',
  '--cgroup'
]

/** A folder that the user owns, outside every private tmp; gone after the file's tests. */
export function scratch(user: User, parent = '/var/tmp'): string {
  const folder = mkdtempSync(`${parent}/qi-escape-`)
  chmodSync(folder, 0o755)
  give(folder, user)
  scratches.push(folder)
  return folder
}

export function give(path: string, user: User): void {
  if (isRoot && user === 'plain') chownSync(path, PLAIN_ID, PLAIN_ID)
}

export const refusals = (result: Result): Record<string, unknown>[] =>
  result.events
    .filter((event) => event.event.action.endsWith('.refused'))
    .map((event) => event.context.parameters as Record<string, unknown>)
