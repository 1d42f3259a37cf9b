import { QiError } from '../errors.js'
import { launchRules, replaced, withHost } from '../network/live.js'
import type { NetworkRules } from '../network/types.js'
import type { SandboxConfig } from '../policy/index.js'
import type { Profile } from '../profile/types.js'
import type { MonitorMessage } from './control.js'
import { changeOf } from './ctl-network.js'

type Confirmation = Extract<MonitorMessage, { type: 'network' }>

const ENDED = () => new QiError('QI_NETWORK', 'the jail has ended', { field: 'network' })

/** The rules of a running jail. They change one after another; each change is in force when its promise resolves. */
export class LiveNetwork {
  private current: NetworkRules | undefined
  private last: Promise<unknown> = Promise.resolve()
  private ids = 0
  private readonly waiting = new Map<number, (answer: Confirmation | undefined) => void>()
  private ended = false

  constructor(
    private readonly launched: Profile['network'],
    private readonly send: (line: string) => void
  ) {
    this.current = launched.rules
  }

  /** Undefined when the jail has no rules: no network at all, or the host's. */
  get rules(): NetworkRules | undefined {
    return this.current
  }

  replace(network: SandboxConfig['network']): Promise<void> {
    return this.change(() => replaced(this.launched, network))
  }

  add(action: 'allow' | 'deny', host: string, origin: string): Promise<void> {
    return this.change((rules) => withHost(this.launched, rules, action, host, origin))
  }

  confirm(answer: Confirmation): void {
    this.waiting.get(answer.id)?.(answer)
  }

  end(): void {
    this.ended = true
    for (const settle of this.waiting.values()) settle(undefined)
  }

  private change(make: (rules: NetworkRules) => NetworkRules): Promise<void> {
    const turn = this.last.then(async () => {
      if (this.ended) throw ENDED()
      const next = make(launchRules({ ...this.launched, ...(this.current ? { rules: this.current } : {}) }))
      await this.apply(next)
      this.current = next
    })
    this.last = turn.catch(() => {}) // told to who asked for it; the next one has its turn all the same
    return turn
  }

  private async apply(next: NetworkRules): Promise<void> {
    const change = changeOf(this.current as NetworkRules, next)
    if (!change) return
    const { how, lines } = change
    const id = ++this.ids
    const answer = await new Promise<Confirmation | undefined>((resolve) => {
      this.waiting.set(id, resolve)
      this.send(`network ${id} ${how} ${lines.join(';')}`)
    }).finally(() => this.waiting.delete(id))
    if (!answer) throw ENDED()
    if (answer.ok) return
    const refused = lines[(answer.line ?? 0) - 1]
    throw new QiError(
      'QI_NETWORK',
      `qi-monitor refused the rules${refused ? ` at "${refused}"` : ''}; the old ones hold`,
      {
        field: 'network',
        ...(refused ? { value: refused } : {})
      }
    )
  }
}
