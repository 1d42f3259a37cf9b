import { isIP } from 'node:net'
import * as yaml from 'yaml'
import { QiError } from '../errors.js'
import type { MonitorMessage } from './control.js'
import type { LiveNetwork } from './live-network.js'

/** A host that no rule names; the payload waits. */
export interface AskRequest {
  /** Name or address. */
  host: string
  /** Absent: the payload looks the name up. */
  port?: number
  /** The host, when it is an address. */
  address?: string
  /** On the host. */
  pid?: number
  commandLine?: string
  /** When it is too late to answer, as Date.now(); `signal` is aborted then. */
  until: number
  signal: AbortSignal
}

/** `once`: this connection or lookup; `session`: while the jail lives; `always`: and tell what to write into the policy. */
export type AskDecision = 'once' | 'session' | 'always' | 'deny'
export type OnConnect = (request: AskRequest) => AskDecision | Promise<AskDecision>

/** What became of a question. */
export interface AskAnswer extends Omit<AskRequest, 'signal' | 'until'> {
  decision: AskDecision
  /** With `always`: YAML for a profile. */
  policy?: string
  /** Why it was denied without anybody's word: a callback that threw, or that was too slow. */
  reason?: string
}

const DEFAULT_ASK_MS = 30_000
export const MAX_ASK_MS = 10 * 60_000
const DECISIONS = new Set<unknown>(['once', 'session', 'always', 'deny'])
/** A payload may ask for thousands of names; nobody answers as many at once. */
const MAX_OPEN = 64

export function askMilliseconds(timeout: number | undefined): number {
  const ms = timeout ?? DEFAULT_ASK_MS
  if (Number.isInteger(ms) && ms >= 1 && ms <= MAX_ASK_MS) return ms
  throw new QiError('QI_CONFIG', `askTimeout = ${String(ms)}: is no whole number from 1 to ${MAX_ASK_MS}`, {
    field: 'askTimeout',
    value: ms,
    hint: 'give milliseconds'
  })
}

/** As a rule writes it. */
export const hostAndPort = (host: string, port?: number): string =>
  port === undefined ? host : `${host.includes(':') ? `[${host}]` : host}:${port}`

interface Surroundings {
  onConnect: OnConnect
  timeoutMs: number
  network: LiveNetwork
  send: (line: string) => void
  report: (answer: AskAnswer) => void
}

/** Puts qi-monitor's questions to the caller. Whatever goes wrong denies. */
export class Asker {
  private readonly open = new Set<AbortController>()

  constructor(private readonly around: Surroundings) {}

  async ask({ id, host, port, pid, commandLine }: Extract<MonitorMessage, { type: 'ask' }>): Promise<void> {
    const request = {
      host,
      ...(port === undefined ? {} : { port }),
      ...(isIP(host) ? { address: host } : {}),
      ...(pid === undefined ? {} : { pid }),
      ...(commandLine === undefined ? {} : { commandLine })
    }
    const { decision, reason } = await this.decide(request)
    const target = hostAndPort(host, port)
    // In force before the answer: what the payload does next must not be asked about again.
    if (decision === 'session' || decision === 'always')
      await this.around.network.add('allow', target, `asked: ${decision}`).catch(() => {}) // then it is for this once
    this.around.send(`answer ${id} ${decision === 'deny' ? 'deny' : 'allow'}`)
    const policy = decision === 'always' ? { policy: yaml.stringify({ network: { allowedHosts: [target] } }) } : {}
    this.around.report({ ...request, decision, ...policy, ...(reason ? { reason } : {}) })
  }

  end(): void {
    for (const controller of this.open) controller.abort()
  }

  private async decide(
    request: Omit<AskRequest, 'signal' | 'until'>
  ): Promise<{ decision: AskDecision; reason?: string }> {
    if (this.open.size >= MAX_OPEN) return { decision: 'deny', reason: 'too many questions at once' }
    const controller = new AbortController()
    const { signal } = controller
    this.open.add(controller)
    const until = Date.now() + this.around.timeoutMs
    const timer = setTimeout(() => controller.abort(), this.around.timeoutMs)
    const late = new Promise<'late'>((resolve) => signal.addEventListener('abort', () => resolve('late')))
    try {
      const said = await Promise.race([this.around.onConnect({ ...request, until, signal }), late])
      if (said === 'late') return { decision: 'deny', reason: 'no answer in time' }
      if (!DECISIONS.has(said)) throw new TypeError(`${String(said)} is no decision`)
      return { decision: said }
    } catch (error) {
      return { decision: 'deny', reason: `the callback failed: ${String(error)}` }
    } finally {
      clearTimeout(timer)
      this.open.delete(controller)
    }
  }
}
