import { spawn, spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { AuditLog, JailExit, SandboxConfig } from '../../src/index.js'
import type { MonitorOverride, SpawnOptions } from '../../src/launch/spawn.js'
import { skipUnless } from '../support/skip.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
export const release = join(root, 'build/Release')
export const victim = join(release, 'test-tools/victim')
export const enosys = join(release, 'test-tools/enosys')
export const isRoot = process.getuid?.() === 0

/** Who launches. `plain` is an id without an account: nothing of ours may need one. */
export type User = 'root' | 'plain'
export const users: User[] = isRoot ? ['root', 'plain'] : ['plain']
const PLAIN_ID = 61234

export interface JobRequest {
  config: SandboxConfig
  argv: string[]
  options?: SpawnOptions & MonitorOverride
  /** How many launches in a row; the result is the last one's. */
  times?: number
  atOnce?: number
  /** By a launcher that keeps so many jails ready. */
  pool?: number
  /** The rest of them stays. */
  keep?: boolean
}

interface Snapshot {
  fds: number
  mounts: number
  cgroup: string
  children: number[]
  files: number
  rss: number
}

export interface JobResult {
  error?: {
    name: string
    code: string
    message: string
    step?: number
    stepName?: string
    errno?: string
    hint?: string
  }
  exit?: JailExit
  events?: AuditLog[]
  stdout?: string
  stderr?: string
  pid?: number
  protections?: { name: string; state: string; reason: string }[]
  trace?: Record<string, number>
  before: Snapshot
  after: Snapshot
}

/** A folder of the user's own; goes away with the test, or when `cleanup` says. */
export function scratch(user: User, cleanup: (remove: () => void) => void = onTestFinished): string {
  const folder = mkdtempSync(join(tmpdir(), 'qi-test-'))
  cleanup(() => rmSync(folder, { recursive: true, force: true }))
  give(folder, user)
  return folder
}

/** A path made as `user` would have made it. */
export function give(path: string, user: User): string {
  if (isRoot && user === 'plain') chownSync(path, PLAIN_ID, PLAIN_ID)
  return path
}

export function file(path: string, content: string, user: User): string {
  writeFileSync(path, content)
  return give(path, user)
}

export function folder(path: string, user: User): string {
  mkdirSync(path)
  return give(path, user)
}

const become = (user: User): string[] =>
  isRoot && user === 'plain' ? ['setpriv', `--reuid=${PLAIN_ID}`, `--regid=${PLAIN_ID}`, '--clear-groups'] : []

/** A checkout below a private home is out of reach for anybody else. */
function requireReach(user: User): void {
  skipUnless(isRoot || user === 'plain', 'needs root')
  if (!isRoot) return
  const [command = 'true', ...rest] = [...become(user), process.execPath, '--version']
  const works = spawnSync(command, rest).status === 0
  const seen = spawnSync('setpriv', [...become(user).slice(1), 'test', '-r', victim]).status === 0
  skipUnless(user === 'root' || (works && seen), 'needs a plain user account')
}

/** Command line of a driver that runs `jobs` as `user`, below `below` (enosys …) if given. */
export function driverCommand(user: User, home: string, jobs: JobRequest[], below: string[] = []): string[] {
  requireReach(user)
  const list = file(join(home, 'jobs.json'), JSON.stringify({ folder: home, jobs }), user)
  return [...become(user), ...below, process.execPath, join(root, 'test/launch/driver.mjs'), list]
}

export const driverEnvironment = (home: string) => ({ PATH: '/usr/local/bin:/usr/bin:/bin', HOME: home })

/** Runs `jobs` and returns their results in order. Fails when the driver itself does. */
export async function drive(user: User, home: string, jobs: JobRequest[], below: string[] = []): Promise<JobResult[]> {
  const [command = '', ...args] = driverCommand(user, home, jobs, below)
  const child = spawn(command, args, { cwd: home, env: driverEnvironment(home), stdio: ['ignore', 'pipe', 'pipe'] })
  const chunks: Buffer[] = []
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk))
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`driver ended with ${code}: ${errors}`)
  return JSON.parse(Buffer.concat(chunks).toString()) as JobResult[]
}

/** Events of an audit file, in order. */
export function readAudit(path: string): AuditLog[] {
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'utf8').split('\n')
  return lines.slice(0, -1).map((line) => JSON.parse(line) as AuditLog)
}
