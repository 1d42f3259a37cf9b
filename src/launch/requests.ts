import { QiError } from '../errors.js'
import type { MonitorMessage } from './control.js'
import { type JailStats, readStats } from './stats.js'

type Answer = Extract<MonitorMessage, { type: 'done' | 'stats' }>

const ended = () => new QiError('QI_ENDED', 'the jail has ended')

/** Numbered questions to qi-monitor and their answers, in whatever order these come. */
export class Requests {
  private ids = 0
  private over = false
  private readonly waiting = new Map<number, (answer: Answer | undefined) => void>()

  constructor(private readonly send: (line: string) => void) {}

  async stats(): Promise<JailStats> {
    const stats = readStats(await this.ask('stats'))
    if (stats) return stats
    throw new QiError('QI_INTERNAL', 'qi-monitor answered with something else than statistics')
  }

  /** @throws QiError QI_PAUSE, QI_ENDED */
  async act(verb: 'pause' | 'resume'): Promise<void> {
    const answer = await this.ask(verb)
    if (answer.type === 'done' && answer.ok) return
    const errno = answer.type === 'done' ? answer.error : undefined
    throw new QiError('QI_PAUSE', `the jail could not ${verb}${errno ? `: ${errno}` : ''}`, {
      ...(errno ? { errno } : {}),
      hint: 'try again; a process that waits for a disk stops only when it is done'
    })
  }

  settle(answer: Answer): void {
    this.waiting.get(answer.id)?.(answer)
  }

  end(): void {
    this.over = true
    for (const settle of this.waiting.values()) settle(undefined)
  }

  private async ask(verb: 'stats' | 'pause' | 'resume'): Promise<Answer> {
    if (this.over) throw ended()
    const id = ++this.ids
    const answer = await new Promise<Answer | undefined>((resolve) => {
      this.waiting.set(id, resolve)
      this.send(`${verb} ${id}`)
    }).finally(() => this.waiting.delete(id))
    if (!answer) throw ended()
    return answer
  }
}
