import { Socket } from 'node:net'
import type { AuditLog } from '../event/schema.js'
import { LineSplitter } from './lines.js'
import { loadAddon } from './locate.js'

/** What qi-monitor says over its control socket, one JSON object a line (native/monitor/main.cc). */
export type MonitorMessage =
  | { type: 'started'; pid: number; init: number; trace?: Record<string, number>; cgroup?: string; noCgroup?: string }
  | { type: 'held' }
  | { type: 'failed'; step: number; errno: number; detail: string }
  | { type: 'event'; event: AuditLog }
  | { type: 'network'; id: number; ok: boolean; line?: number }
  | { type: 'ask'; id: number; host: string; port?: number; pid?: number; commandLine?: string }
  | { type: 'done'; id: number; ok: boolean; error?: string }
  | { type: 'stats'; id: number } // the rest: readStats
  | {
      type: 'exit'
      code?: number
      signal?: number
      reason: TerminationReason
      refusals: number
      fileRefusals: number
      permitted?: number
      lost: number
    }

export const TERMINATION_REASONS = [
  'exit',
  'signal',
  'memory',
  'pids',
  'time',
  'killed-by-policy',
  'killed',
  'host-gone',
  'monitor-lost'
] as const

/**
 * Why a jail ended. `exit`, `signal`: by itself; `memory`, `pids`, `time`: at that limit; `killed-by-policy`: a call that
 * ends the caller, or a supervisor that was lost; `killed`: by kill('SIGKILL') or abort; `host-gone`: the process that
 * launched it; `monitor-lost`: qi-monitor itself was killed.
 */
export type TerminationReason = (typeof TERMINATION_REASONS)[number]

// qi-monitor queues 4 MiB for a host that does not read; no line of it can be longer.
const MAX_LINE = 8 << 20
const TYPES = new Set(['started', 'held', 'failed', 'event', 'network', 'ask', 'done', 'stats', 'exit'])

/** Our end of the control socket. Closing it ends the jail. */
export class ControlSocket {
  private readonly socket: Socket
  private readonly lines = new LineSplitter(MAX_LINE)

  constructor(
    private readonly fd: number,
    onMessage: (message: MonitorMessage) => void,
    onClose: () => void
  ) {
    this.socket = new Socket({ fd, readable: true, writable: true })
    this.socket.on('data', (chunk: Buffer) => {
      for (const message of this.messages(chunk)) onMessage(message)
    })
    this.socket.on('error', () => {}) // `close` follows, and means the same: qi-monitor is gone
    this.socket.on('close', onClose)
  }

  send(line: string): void {
    if (!this.socket.destroyed) this.socket.write(`${line}\n`)
  }

  /** Past the stream, whose ways are long; only before anything was sent by it. False when it does not get there. */
  sendNow(text: string): boolean {
    return !this.socket.destroyed && loadAddon().send(this.fd, text)
  }

  close(): void {
    this.socket.destroy()
  }

  unref(): void {
    this.socket.unref()
  }

  ref(): void {
    this.socket.ref()
  }

  /**
   * qi-monitor reads what hostile programs write. Should one of them have taken it over, what it says may end its jail, as
   * the closing does, but not throw in the host's event loop.
   */
  private *messages(chunk: Buffer): Generator<MonitorMessage> {
    const lines = this.lines.push(chunk)
    for (;;) {
      let message: MonitorMessage
      try {
        const { done, value } = lines.next()
        if (done) return
        message = JSON.parse(value) as MonitorMessage
        if (!isMessage(message)) throw new TypeError('not a message of qi-monitor')
      } catch {
        this.close()
        return
      }
      yield message
    }
  }
}

const isNumber = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0
const isCount = (value: unknown): boolean => value === undefined || isNumber(value)

const isText = (value: unknown): boolean => value === undefined || typeof value === 'string'

const isQuestion = ({ id, host, port, pid, commandLine }: Extract<MonitorMessage, { type: 'ask' }>): boolean =>
  isNumber(id) && typeof host === 'string' && isCount(port) && isCount(pid) && isText(commandLine)

const isEnd = ({
  code,
  signal,
  reason,
  refusals,
  permitted,
  lost
}: Extract<MonitorMessage, { type: 'exit' }>): boolean =>
  isCount(code) &&
  isCount(signal) &&
  isCount(permitted) &&
  TERMINATION_REASONS.includes(reason) &&
  isNumber(refusals) &&
  isNumber(lost)

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null

/** @internal What is none ends the jail. */
export function isMessage(message: MonitorMessage): boolean {
  if (!isObject(message) || !TYPES.has(message.type)) return false
  switch (message.type) {
    case 'started':
      return isNumber(message.pid) && isText(message.cgroup) && isText(message.noCgroup)
    case 'failed':
      return isNumber(message.step) && isNumber(message.errno) && typeof message.detail === 'string'
    case 'held':
      return true
    case 'network':
      return isNumber(message.id) && typeof message.ok === 'boolean' && isCount(message.line)
    case 'ask':
      return isQuestion(message)
    case 'done':
      return isNumber(message.id) && typeof message.ok === 'boolean' && isText(message.error)
    case 'stats':
      return isNumber(message.id)
    case 'exit':
      return isEnd(message)
    case 'event':
      return isObject(message.event) && isObject(message.event.event) && isObject(message.event.context)
  }
}
