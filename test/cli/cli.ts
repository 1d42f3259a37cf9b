import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { AuditLogSchema } from '../../src/event/schema.js'
import { as, checkoutFor, environmentOf, homeOf, type User } from '../support/user.js'

export interface Place {
  user: User
  /** The checkout. */
  root: string
  /** The user's home, also the working directory. */
  home: string
}

/** Where `user` runs qi-jail in the tests of the calling block; its members are there from the first test on. */
export function placeOf(user: User): Place {
  const place: Place = { user, root: '', home: '' }
  const remove: (() => void)[] = []
  beforeAll(() => {
    const [checkout, home] = [checkoutFor(user), homeOf(user)]
    remove.push(checkout.remove, home.remove)
    Object.assign(place, { root: checkout.path, home: home.path })
  })
  afterAll(() => {
    for (const each of remove) each()
  })
  return place
}

export interface Result {
  status: number | null
  signal: NodeJS.Signals | null
  stdout: Buffer
  stderr: string
}

export interface Running {
  child: ChildProcess
  result: Promise<Result>
  /** Resolves when stdout holds `text`. */
  says(text: string): Promise<void>
}

/** QI_TEST_ENTRY=kept: `run` and `start` are by the program, `run` from a plan kept the time before. */
const KEPT = process.env.QI_TEST_ENTRY === 'kept'
const ENTRY = KEPT ? ['build/Release/qi-jail'] : [process.execPath, 'bin/qi-jail']

/** The command line tool with `args`, as the place's user. */
export const start = (place: Place, args: string[], env: Record<string, string> = {}): Running =>
  startAny(place, [...ENTRY.map((path) => resolve(place.root, path)), ...args], env)

/** Always by the script, which starts Node of PATH where no plan is kept. */
export function runKept(place: Place, args: string[], env: Record<string, string> = {}): Promise<Result> {
  const { child, result } = startAny(place, [join(place.root, 'bin/qi-jail'), ...args], env)
  child.stdin?.end()
  return result
}

/** A shell script in which `$QI` is the command. Its stdin is empty. */
export function shell(place: Place, script: string, env: Record<string, string> = {}): Promise<Result> {
  const qi = join(place.root, 'bin/qi-jail')
  const { child, result } = startAny(place, ['/bin/sh', '-c', script], { QI: qi, ...env })
  child.stdin?.end()
  return result
}

/** The same on a terminal of its own, 60 wide and 5 high; what is written to the child's stdin is typed there. */
export function onTerminal(place: Place, script: string, env: Record<string, string> = {}): Running {
  const qi = join(place.root, 'bin/qi-jail')
  return startAny(place, ['script', '-qec', `stty cols 60 rows 5; ${script}`, '/dev/null'], { QI: qi, ...env })
}

function startAny({ user, home }: Place, argv: string[], env: Record<string, string>): Running {
  const [file, args] = as(user, argv)
  const child = spawn(file, args, { cwd: home, env: { ...environmentOf(home), ...env }, stdio: 'pipe' })
  const stdout: Buffer[] = []
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk
  })
  const result = new Promise<Result>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => resolve({ status, signal, stdout: Buffer.concat(stdout), stderr }))
  })
  const says = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => Buffer.concat(stdout).includes(text) && resolve()
      child.stdout.on('data', look)
      child.once('close', () => reject(new Error(`ended without saying ${text}: ${stderr}`)))
      look()
    })
  return { child, result, says }
}

export async function run(place: Place, args: string[], env?: Record<string, string>, input?: Buffer): Promise<Result> {
  if (KEPT && args.includes('--')) {
    await runOnce(place, args, env, input)
    await new Promise((resolve) => setTimeout(resolve, 60)) // longer than what ObservedFs takes for unsettled
  }
  return runOnce(place, args, env, input)
}

/** The same where what runs leave adds up. */
export async function runOnce(
  place: Place,
  args: string[],
  env?: Record<string, string>,
  input?: Buffer
): Promise<Result> {
  const { child, result } = start(place, args, env)
  child.stdin?.on('error', () => {}) // the command may end without reading it
  child.stdin?.end(input)
  return result
}

/** Every line of an audit file, each whole and of the published shape. */
export function readAudit(text: string | Buffer) {
  const lines = text.toString().split('\n')
  if (lines.pop() !== '') throw new Error('the last line is not whole')
  return lines.map((line) => AuditLogSchema.parse(JSON.parse(line)))
}

/** `R`, `S`, `T`, `Z`…, or undefined when there is no such process. */
export function stateOf(pid: number): string | undefined {
  try {
    return /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  } catch {
    return undefined
  }
}

export async function until(holds: () => boolean, what: string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (holds()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`waited 5 s in vain: ${what}`)
}
