import { once } from 'node:events'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { QiError } from '../errors.js'
import type { Jail } from '../launch/jail.js'
import { LineSplitter } from '../launch/lines.js'
import { type SpawnOptions, type StdioChoice, spawnSandboxed } from '../launch/spawn.js'
import type { SandboxConfig } from '../policy/index.js'

/** A JSON-RPC 2.0 message; what it holds is the protocol's affair. */
export type RpcMessage = { jsonrpc: '2.0' } & Record<string, unknown>

export interface SandboxedServerParameters {
  command: string
  args?: string[]
  /** Variables for the server, over the few that every jail passes on. */
  env?: Record<string, string>
  cwd?: string
  /** Default `inherit`, as the SDK's. */
  stderr?: 'pipe' | 'overlapped' | 'inherit' | 'ignore' | number
  /** Longest message in bytes; a longer one ends the connection. Default 10 MB, as the SDK's. */
  maxBufferSize?: number
  /** What the server may do; profile `strict` when left out. */
  sandbox?: SandboxConfig
  /** Asked about hosts that no rule names, and how it may be reached while it runs: as of spawnSandboxed. */
  launch?: Pick<SpawnOptions, 'onConnect' | 'askTimeout' | 'control' | 'id' | 'correlationId'>
}

const MAX_BUFFER = 10 * 1000 * 1000
/** How long a server may take to end after its stdin ended, and again after SIGTERM. */
const GRACE_MS = 2000

/**
 * The MCP SDK's StdioClientTransport with a jail around the server: same constructor parameters plus `sandbox`, same
 * methods and callbacks (the SDK's Transport interface). `jail` gives audit events, protections and how it ended.
 */
export class SandboxedStdioTransport {
  onclose?: () => void
  onerror?: (error: Error) => void
  // The SDK declares this generic over its own message union; any function of one message fits both ways.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  onmessage?: (message: any) => void
  private readonly stderrStream: PassThrough | null
  private readonly lines: LineSplitter
  private running: Jail | undefined
  private starting: Promise<void> | undefined
  private broken = false
  private closed: Promise<void> = Promise.resolve()
  /** Aborted by a close before the server runs. */
  private readonly given = new AbortController()

  constructor(private readonly server: SandboxedServerParameters) {
    this.stderrStream = this.pipesStderr ? new PassThrough() : null
    this.lines = new LineSplitter(server.maxBufferSize ?? MAX_BUFFER)
  }

  /** The server's jail; undefined before `start`. */
  get jail(): Jail | undefined {
    return this.running
  }

  /** With `stderr: 'pipe'` there from the beginning, so that nothing early is lost. */
  get stderr(): Readable | null {
    return this.stderrStream
  }

  get pid(): number | null {
    return this.running && this.running.pid > 0 ? this.running.pid : null
  }

  /** @throws QiError when the server could not be started in its jail. */
  async start(): Promise<void> {
    if (this.starting)
      throw new QiError('QI_TRANSPORT', 'this transport was started already', { hint: 'make a new one' })
    this.starting = this.launch()
    await this.starting
  }

  private async launch(): Promise<void> {
    const { command, args = [] } = this.server
    const stdio: [StdioChoice, StdioChoice, StdioChoice] = ['pipe', 'pipe', this.stderrChoice]
    let jail: Jail
    try {
      jail = await spawnSandboxed(this.config(), [command, ...args], {
        ...this.server.launch,
        stdio,
        signal: this.given.signal
      })
      if (this.given.signal.aborted) {
        await jail.exited
        throw this.given.signal.reason
      }
    } catch (error) {
      this.onerror?.(error as Error)
      throw error
    }
    this.running = jail
    this.listen(jail)
  }

  /** Resolves when the message is handed over, or, while the server does not read, when it reads again. */
  async send(message: RpcMessage | object): Promise<void> {
    const stdin = this.running?.stdin as Writable | undefined
    if (!stdin?.writable) throw new QiError('QI_TRANSPORT', 'not connected: the server is not running')
    if (stdin.write(`${JSON.stringify(message)}\n`)) return
    // A server that reads slowly must not leave a listener behind for every message.
    const over = new AbortController()
    const { signal } = over
    const waits = [once(stdin, 'drain', { signal }), once(stdin, 'close', { signal })]
    await Promise.race(waits).finally(() => over.abort())
  }

  /** Ends the server as the protocol asks for: end of stdin, then SIGTERM, then the whole jail. */
  async close(): Promise<void> {
    const jail = this.running
    if (!jail) {
      if (this.starting) this.given.abort(new QiError('QI_TRANSPORT', 'closed while the server was starting'))
      return await this.starting?.catch(() => {}) // told by start
    }
    const steps = [() => jail.stdin?.end(), () => jail.kill('SIGTERM'), () => jail.kill('SIGKILL')]
    for (const step of steps) {
      step()
      const timer = new AbortController()
      const patience = delay(GRACE_MS, false, { signal: timer.signal, ref: false }).catch(() => false)
      const ended = await Promise.race([jail.exited.then(() => true), patience])
      timer.abort()
      if (ended) break
    }
    await this.closed
  }

  private get pipesStderr(): boolean {
    return this.server.stderr === 'pipe' || this.server.stderr === 'overlapped'
  }

  private get stderrChoice(): StdioChoice {
    const { stderr = 'inherit' } = this.server
    return stderr === 'overlapped' ? 'pipe' : stderr
  }

  /** `sandbox` with the parameters of the SDK put where a SandboxConfig has them. */
  private config(): SandboxConfig {
    const { sandbox = {}, env, cwd } = this.server
    const named = Array.isArray(sandbox.env)
      ? Object.fromEntries(sandbox.env.map((name) => [name, true as const]))
      : sandbox.env
    return { ...sandbox, ...(named || env ? { env: { ...named, ...env } } : {}), ...(cwd === undefined ? {} : { cwd }) }
  }

  private listen(jail: Jail): void {
    const fail = (error: Error) => this.onerror?.(error)
    jail.stdin?.on('error', fail)
    jail.stdout?.on('error', fail)
    jail.stdout?.on('data', (chunk: Buffer) => this.receive(chunk))
    if (this.stderrStream) jail.stderr?.pipe(this.stderrStream)
    const { stdout } = jail
    // Not stderr's end: it may wait for a reader that never comes.
    const answered = stdout && Promise.race([once(stdout, 'end'), once(stdout, 'close')]).catch(() => {}) // told by onerror
    this.closed = jail.exited
      .then(() => answered)
      .then(() => {
        this.lines.clear()
        this.onclose?.()
      })
  }

  private receive(chunk: Buffer): void {
    if (this.broken) return // still read, so that the server does not block while it ends
    try {
      for (const line of this.lines.push(chunk)) this.deliver(line)
    } catch (error) {
      this.broken = true
      this.onerror?.(error as Error)
      void this.close()
    }
  }

  /** One bad line is reported; the next may be good. */
  private deliver(line: string): void {
    if (line.trim() === '') return
    try {
      const message = JSON.parse(line) as Partial<RpcMessage> | null
      if (message?.jsonrpc !== '2.0')
        throw new QiError('QI_TRANSPORT', `not a JSON-RPC 2.0 message: ${JSON.stringify(line.slice(0, 120))}`)
      this.onmessage?.(message)
    } catch (error) {
      this.onerror?.(error as Error)
    }
  }
}
