import { EventEmitter, once } from 'node:events'
import { Socket } from 'node:net'
import { constants } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { QiError } from '../errors.js'
import type { AuditLog } from '../event/schema.js'
import type { NetworkRules } from '../network/types.js'
import type { SandboxConfig } from '../policy/index.js'
import type { Profile, Protection } from '../profile/types.js'
import { type AskAnswer, Asker, type OnConnect } from './ask.js'
import { ControlSocket, type MonitorMessage, type TerminationReason } from './control.js'
import { EventQueue } from './event-queue.js'
import { launchError } from './failure.js'
import { LiveNetwork } from './live-network.js'
import { loadAddon } from './locate.js'
import { Requests } from './requests.js'
import type { JailStats } from './stats.js'

/** How a jail ended. Nothing of it is left: no process, mount or file. */
export interface JailExit {
  /** The payload's exit code, or null when a signal ended it. */
  code: number | null
  /** Name of the signal that ended the payload, or null. */
  signal: NodeJS.Signals | null
  terminationReason: TerminationReason
  /** How many calls were refused. */
  refusals: number
  /** How many acts on files were refused, as far as they were observed (`audit.files`). */
  fileRefusals: number
  /** With `enforcement: permissive`: how many more strict would have refused. */
  permitted: number
  /** Events that could not be delivered in time; 0 unless nobody read them. */
  lostEvents: number
}

export interface JailEvents {
  event: [event: AuditLog]
  /** What `onConnect` decided, or what was denied in its place. */
  askDecision: [answer: AskAnswer]
  exit: [exit: JailExit]
}

/** Not in Node's types, but what its own child processes use. */
const MANUAL_START = { manualStart: true }

interface Started {
  pid: number
  pidfd: number
  control: number
  pipes: [number, number, number]
  protections: Protection[]
  network: Profile['network']
  onConnect?: OnConnect
  /** The protections of a launch whose cgroup was not to be had after all. */
  withoutCgroup?: (why: string) => Protection[]
}

// Some numbers have two names; the first is the one that child_process reports (SIGABRT, not SIGIOT).
const SIGNAL_NAMES = new Map(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name as NodeJS.Signals])
)

/**
 * A running payload. Like a ChildProcess: `stdin`, `stdout`, `stderr` (null where inherited), `pid`, `kill`; plus `exited`,
 * the audit events (`event` listeners, or `for await (const event of jail.events())`) and `protections`. Disposing of it
 * (`await using`) kills it and waits until nothing is left.
 */
export class Jail extends EventEmitter<JailEvents> implements AsyncDisposable {
  readonly stdin: Writable | null
  readonly stdout: Readable | null
  readonly stderr: Readable | null
  /** What is enforced, degraded or off, and by what. */
  protections: readonly Protection[]
  /** Of the jail, below the host's cgroup mount; undefined without one. */
  cgroup: string | undefined
  /** Settles when nothing of the jail is left. Never rejects: how the payload ended is a result. */
  readonly exited: Promise<JailExit>
  /** When each numbered step of the launch began, nanoseconds of CLOCK_MONOTONIC; with `traceSteps` only. */
  trace: Record<string, number> | undefined
  /** For `qi-jail ctl`; with the option `control` or `id` only. */
  id: string | undefined
  private payloadPid = -1
  private ended: JailExit | undefined
  private control!: ControlSocket
  private readonly launched: Promise<void>
  private awake = false
  private tellHeld: () => void = () => {}
  private readonly queue = new EventQueue()
  private readonly network: LiveNetwork
  private readonly asker: Asker | undefined
  private readonly requests = new Requests((line) => this.control.send(line))
  private readonly withoutCgroup: Started['withoutCgroup']
  private readonly monitor: { pid: number; pidfd: number }

  /** @internal Use spawnSandboxed. */
  constructor(started: Started) {
    super()
    this.protections = started.protections
    this.withoutCgroup = started.withoutCgroup
    this.monitor = { pid: started.pid, pidfd: started.pidfd }
    this.network = new LiveNetwork(started.network, (line) => this.control.send(line))
    this.asker = this.askerFor(started)
    // manualStart: what ends before the caller has it must not be over before the caller can listen; see beginReading.
    const stream = (fd: number) => (fd < 0 ? null : new Socket({ fd, readable: true, writable: true, ...MANUAL_START }))
    const [stdin, stdout, stderr] = started.pipes
    this.stdin = stdin < 0 ? null : new Socket({ fd: stdin, readable: false, writable: true })
    this.stdout = stream(stdout)
    this.stderr = stream(stderr)
    let settleLaunch: (error?: Error) => void = () => {}
    this.launched = new Promise((resolve, reject) => {
      settleLaunch = (error) => (error ? reject(error) : resolve())
    })
    this.launched.catch(() => {}) // told by ready(); a jail that nobody awaits must not crash the process
    // Its last message, or the end of the socket without one.
    const over = new Promise<void>((resolve) => {
      const onMessage = (message: MonitorMessage) => {
        if (this.ended) return // a qi-monitor that was taken over might go on
        this.onMessage(message, settleLaunch)
        if (message.type === 'exit') resolve()
      }
      this.control = new ControlSocket(started.control, onMessage, resolve)
    })
    this.exited = over.then(() => this.finish(settleLaunch))
  }

  /** The payload's pid on the host; -1 until it runs. */
  get pid(): number {
    return this.payloadPid
  }

  get exitCode(): number | null {
    return this.ended?.code ?? null
  }

  get signalCode(): NodeJS.Signals | null {
    return this.ended?.signal ?? null
  }

  /** @internal For when the caller has had its turn: a stream that says nothing then ends without being asked, too. */
  beginReading(): void {
    for (const stream of [this.stdout, this.stderr]) stream?.read(0)
  }

  /**
   * @internal Resolves once it is built, for a plan that is held before the payload's exec; rejects as `ready`. It keeps
   * no process alive until `go`.
   */
  async held(): Promise<void> {
    await Promise.race([new Promise<void>((resolve) => (this.tellHeld = resolve)), this.launched])
    this.control.unref()
  }

  /** @internal Its `go` is about to come, or its end: it may get up. */
  wake(): void {
    this.awake = this.control.sendNow('g')
  }

  /** @internal The payload may start. */
  go(): void {
    this.control.ref()
    if (!this.control.sendNow(this.awake ? 'o\n' : 'go\n')) this.control.close() // `ready` tells
  }

  /** @internal Resolves once the payload was exec'ed; rejects with the step that failed, when nothing is left of it. */
  async ready(): Promise<void> {
    await this.launched
  }

  /**
   * Sends a signal to the payload. SIGKILL ends the whole jail. `group`: to the payload's process group, as a terminal does.
   * False when it is gone already.
   */
  kill(signal: NodeJS.Signals | number = 'SIGTERM', group = false): boolean {
    if (this.ended) return false
    const number = typeof signal === 'number' ? signal : constants.signals[signal]
    if (number === undefined) throw new QiError('QI_SIGNAL', `unknown signal ${String(signal)}`, { value: signal })
    this.control.send(number === constants.signals.SIGKILL ? 'kill' : `signal ${number} ${group ? 1 : 0}`)
    return true
  }

  /** What it uses now, as far as this host can tell. @throws QiError QI_ENDED */
  stats(): Promise<JailStats> {
    return this.requests.stats()
  }

  /**
   * Stops every process of the jail until `resume`; time goes on with `executionClock: wall`. Nothing in it notices with a
   * cgroup; without, its processes get SIGSTOP. @throws QiError QI_PAUSE, QI_ENDED
   */
  pause(): Promise<void> {
    return this.requests.act('pause')
  }

  /** @throws QiError QI_PAUSE, QI_ENDED */
  resume(): Promise<void> {
    return this.requests.act('resume')
  }

  /** What is allowed now; undefined where there are no rules: no network, or the host's. */
  get networkRules(): NetworkRules | undefined {
    return this.network.rules
  }

  /**
   * Replaces what the launch's configuration said about the network; the profile's part stays below it, and what was added
   * since goes. In force when it resolves. Connections that are open stay open.
   * @throws QiError as a launch would, or QI_NETWORK for what only a launch can give; the old rules hold then.
   */
  async updateNetwork(network: SandboxConfig['network']): Promise<void> {
    await this.network.replace(network)
  }

  /** Adds one host, written as in `network.allowedHosts`; `origin` is shown with its rules. @throws QiError QI_NETWORK_HOST, QI_NETWORK */
  async allowHost(host: string, origin = 'allowHost'): Promise<void> {
    await this.network.add('allow', host, origin)
  }

  /** Adds one host to those that are denied whatever allows them. @throws QiError QI_NETWORK_HOST, QI_NETWORK */
  async denyHost(host: string, origin = 'denyHost'): Promise<void> {
    await this.network.add('deny', host, origin)
  }

  /** Every event from the first, also those from before the call. Ends when the jail has ended. */
  events(): AsyncIterableIterator<AuditLog> {
    return this.queue.read()
  }

  /** Lets the process end although this jail still runs; it is killed then. */
  unref(): void {
    this.control.unref()
    for (const stream of [this.stdin, this.stdout, this.stderr]) (stream as Socket | null)?.unref()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.control.ref()
    this.kill('SIGKILL')
    await this.exited
  }

  private onMessage(message: MonitorMessage, settleLaunch: (error?: Error) => void): void {
    if (message.type === 'event') {
      this.queue.push(message.event)
      this.emit('event', message.event)
    } else if (message.type === 'started') {
      this.payloadPid = message.pid
      this.trace = message.trace
      this.cgroup = message.cgroup || undefined
      if (message.noCgroup !== undefined) this.protections = this.withoutCgroup?.(message.noCgroup) ?? this.protections
      settleLaunch()
    } else if (message.type === 'held') this.tellHeld()
    else if (message.type === 'network') this.network.confirm(message)
    else if (message.type === 'ask') void this.asker?.ask(message)
    else if (message.type === 'done' || message.type === 'stats') this.requests.settle(message)
    else if (message.type === 'failed') settleLaunch(launchError(message))
    else this.ended = exitOf(message)
  }

  private askerFor({ network, onConnect }: Started): Asker | undefined {
    const timeoutMs = network.rules?.askMs
    if (!onConnect || timeoutMs === undefined) return undefined
    return new Asker({
      onConnect,
      timeoutMs,
      network: this.network,
      send: (line) => this.control.send(line),
      report: (answer) => this.emit('askDecision', answer)
    })
  }

  private async finish(settleLaunch: (error?: Error) => void): Promise<JailExit> {
    this.control.close() // while that process ends
    const status = await loadAddon().reap(this.monitor.pid, this.monitor.pidfd)
    // No exit message: qi-monitor itself was killed, and the kernel took the jail with it.
    this.ended ??= {
      code: null,
      signal: 'SIGKILL',
      terminationReason: 'monitor-lost',
      refusals: 0,
      fileRefusals: 0,
      permitted: 0,
      lostEvents: 0
    }
    const how = status.signal ? `by ${SIGNAL_NAMES.get(status.signal)}` : `with status ${status.code}`
    settleLaunch(new QiError('QI_MONITOR_LOST', `qi-monitor ended ${how} before the payload ran`))
    this.network.end()
    this.requests.end()
    this.asker?.end()
    this.queue.end()
    // With nobody reading it, a pipe that is still full would keep the process alive.
    this.stdin?.destroy()
    this.emit('exit', this.ended)
    return this.ended
  }
}

function exitOf(message: Extract<MonitorMessage, { type: 'exit' }>): JailExit {
  return {
    code: message.code ?? null,
    signal: message.signal === undefined ? null : (SIGNAL_NAMES.get(message.signal) ?? null),
    terminationReason: message.reason,
    refusals: message.refusals,
    fileRefusals: message.fileRefusals,
    permitted: message.permitted ?? 0,
    lostEvents: message.lost
  }
}

/** Resolves when both output streams are at their end; for callers that want all of the payload's output. */
export async function drained(jail: Jail): Promise<void> {
  await Promise.all(
    [jail.stdout, jail.stderr].map((stream) => (stream && !stream.readableEnded ? once(stream, 'end') : undefined))
  )
}
