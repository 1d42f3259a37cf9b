import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import type { AuditLog, JailExit, SandboxConfig } from '../../src/index.js'
import { as, type User } from '../support/user.js'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const isRoot = process.getuid?.() === 0

export interface Outcome {
  stdout: string
  stderr: string
  exit: JailExit
}

export interface Result extends Outcome {
  events: AuditLog[]
  /** What came of the steps' updates (`ok` or a code) and commands (their output), in order. */
  updates: string[]
  /** What `onConnect` was asked, and what became of it. */
  asked: Record<string, unknown>[]
  decided: Record<string, unknown>[]
  /** From the kill after `timeout` to the end of the jail. */
  killMs?: number
  error?: { code: string; message: string; hint?: string }
}

/** In this order: new records of the DNS server, new rules of the jail, a command outside the jail, text for its stdin, its end. */
export interface Step {
  when: string
  control?: Record<string, unknown>
  /** In place of the rules there are. */
  network?: Network
  /** One host more. */
  allow?: string
  deny?: string
  host?: string[]
  stdin?: string
  /** That was all of it. */
  end?: boolean
  /** ms after which it is killed. */
  killAfter?: number
}

export interface Request {
  config: SandboxConfig
  argv: string[]
  env?: Record<string, string>
  cwd?: string
  /** Each is done once stdout holds its `when`. */
  steps?: Step[]
  /** Answers of `onConnect`, by host name or address; default `deny`. `never`: none at all. */
  answers?: Record<string, 'once' | 'session' | 'always' | 'deny' | 'never'>
  askTimeout?: number
  /** Milliseconds after which the jail is killed. */
  timeout?: number
}

const RESOLV = 'nameserver 203.0.113.53\nsearch example.test\noptions timeout:2 attempts:2\n'
const HOSTS = `127.0.0.1 localhost
::1 localhost ip6-localhost
203.0.113.11 hosted.internal.test hosted
10.1.2.3 db.internal.test
`
type Network = NonNullable<SandboxConfig['network']>

const NAMES = ['*.example.test', '*.wild.example.test', '*.internal.test', 'hosted']
/** Public services that servers know by name; in the world they are ours (setSites). */
const PUBLIC_NAMES = ['api.github.com', 'slack.com', 'api.search.brave.com']

/**
 * A network of the tests' own: a host namespace for clients and launchers, and an internet with servers behind it. Nothing
 * of it touches the machine's real network.
 */
export class World {
  private readonly runners = new Map<User, Runner>()

  private constructor(
    readonly folder: string,
    private readonly holder: ChildProcess
  ) {}

  static async open(): Promise<World> {
    const folder = mkdtempSync('/var/tmp/qi-world-')
    chmodSync(folder, 0o755)
    writeFileSync(`${folder}/resolv.conf`, RESOLV)
    writeFileSync(`${folder}/hosts`, HOSTS)
    makeCertificates(folder)
    // As root the real one, so that a plain user's launcher in it meets no user namespace it would not meet elsewhere.
    const own = isRoot ? [] : ['--user', '--map-current-user', '--keep-caps']
    const args = [...own, '--net', '--mount', process.execPath, at('world.mjs'), folder]
    const holder = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'inherit'] })
    await new Promise<void>((resolve, reject) => {
      holder.once('exit', (code) => reject(new Error(`the test world ended with ${code}`)))
      holder.stdout?.once('data', () => resolve())
    })
    return new World(folder, holder)
  }

  /** What every client is told: where the test's own certificate authority is. */
  get env(): Record<string, string> {
    const ca = `${this.folder}/ca.pem`
    return {
      PATH: `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
      HOME: '/nonexistent',
      LANG: 'C.UTF-8',
      NODE_EXTRA_CA_CERTS: ca,
      SSL_CERT_FILE: ca,
      CURL_CA_BUNDLE: ca,
      GIT_SSL_CAINFO: ca,
      GIT_CONFIG_NOSYSTEM: '1'
    }
  }

  /** `argv` in the host namespace, as `user`. */
  command(user: User, argv: string[]): [file: string, args: string[]] {
    const credentials = isRoot ? [] : ['--user', '--preserve-credentials']
    const [file, args] = as(user, argv)
    return ['nsenter', ['--target', String(this.holder.pid), ...credentials, '--net', '--mount', '--', file, ...args]]
  }

  /** Without a jail: the control. */
  async bare(user: User, argv: string[], options: { cwd?: string; timeout?: number } = {}): Promise<Outcome> {
    const inside = options.cwd ? ['env', '-C', options.cwd, ...argv] : argv
    const [file, args] = this.command(user, inside)
    const child = spawn(file, args, { env: this.env, stdio: ['ignore', 'pipe', 'pipe'] })
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeout ?? 60_000)
    const texts = { stdout: '', stderr: '' }
    child.stdout.on('data', (chunk) => (texts.stdout += chunk))
    child.stderr.on('data', (chunk) => (texts.stderr += chunk))
    const exit = await new Promise<JailExit>((resolve) =>
      child.once('close', (code, signal) => resolve({ code, signal } as JailExit))
    )
    clearTimeout(timer)
    return { ...texts, exit }
  }

  tryJailed(user: User, what: Request): Promise<Result> {
    let runner = this.runners.get(user)
    if (!runner) {
      runner = new Runner(...this.command(user, [process.execPath, at('runner.mjs'), this.folder]), this.env)
      this.runners.set(user, runner)
    }
    return runner.run(what)
  }

  async jailed(user: User, what: Request): Promise<Result> {
    const result = await this.tryJailed(user, what)
    expect(result.error).toBeUndefined()
    return result
  }

  /** DNS queries that reached the internet since the last call. */
  queries(): Promise<{ name: string; type: number; transport: string; edns: boolean }[]> {
    return this.control('/queries') as never
  }

  async setZone(records: Record<string, unknown>): Promise<void> {
    await this.control('/zone', records)
  }

  /** What a host answers to a path, as JSON: `{ 'api.github.com/user': … }`. */
  async setSites(sites: Record<string, unknown>): Promise<void> {
    await this.control('/sites', sites)
  }

  /** Servers ask anew where the host is before they answer it. */
  async forgetNeighbours(): Promise<void> {
    await this.control('/forget')
  }

  private control(path: string, body?: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const socketPath = `${this.folder}/control`
      const post = request({ socketPath, path, method: 'POST', agent: false }, (response) => {
        let text = ''
        response.on('data', (chunk) => (text += chunk)).on('end', () => resolve(JSON.parse(text)))
      })
      post.once('error', reject).end(body === undefined ? '' : JSON.stringify(body))
    })
  }

  async close(): Promise<void> {
    for (const runner of this.runners.values()) await runner.stop()
    const gone = new Promise((resolve) => this.holder.once('exit', resolve))
    this.holder.stdin?.end()
    await gone
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Launches jails inside the world: one process for many, as loading the package takes longer than a jail. */
class Runner {
  private readonly waiting = new Map<number, (result: Result) => void>()
  private readonly child: ChildProcess
  private next = 0

  constructor(file: string, args: string[], env: Record<string, string>) {
    this.child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'], env, cwd: '/' })
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const { id, ...result } = JSON.parse(line) as Result & { id: number }
      this.waiting.get(id)?.(result)
      this.waiting.delete(id)
    })
    this.child.once('exit', (code) => {
      const error = { code: 'RUNNER', message: `the runner ended with ${code}` }
      for (const done of this.waiting.values()) done({ error } as Result)
    })
  }

  run(what: Request): Promise<Result> {
    const id = this.next++
    return new Promise((resolve) => {
      this.waiting.set(id, resolve)
      this.child.stdin?.write(`${JSON.stringify({ id, ...what })}\n`)
    })
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return
    const gone = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.stdin?.end()
    await gone
  }
}

/** An authority (ca.pem) and one certificate for every server. */
function makeCertificates(folder: string): void {
  const openssl = (...args: string[]) => {
    const run = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' })
    if (run.status !== 0) throw new Error(`openssl ${args[0]}: ${run.stderr}`)
  }
  const key = (name: string) => ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', name]
  const names = [
    ...[...NAMES, ...PUBLIC_NAMES].map((name) => `DNS:${name}`),
    'IP:203.0.113.10',
    'IP:2001:db8::10'
  ].join(',')
  writeFileSync(`${folder}/names.ext`, `subjectAltName=${names}\n`)
  openssl('req', '-x509', ...key('ca.key'), '-out', 'ca.pem', '-days', '2', '-subj', '/CN=qi-jail test authority')
  openssl('req', ...key('server.key'), '-out', 'server.csr', '-subj', '/CN=api.example.test')
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'names.ext', '-days', '2']
  openssl('x509', '-req', '-in', 'server.csr', '-out', 'server.pem', ...signed)
}
