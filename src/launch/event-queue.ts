import type { AuditLog } from '../event/schema.js'

/** How many events wait for readers; older ones give way, since a jail may outlive anybody's interest in its first. */
const KEPT = 10_000

/** The events of one jail, for any number of readers, each from the first event that is still kept. */
export class EventQueue {
  private events: AuditLog[] = []
  private dropped = 0
  private over = false
  private waiting: (() => void)[] = []

  push(event: AuditLog): void {
    this.events.push(event)
    if (this.events.length > KEPT) {
      this.events.shift()
      this.dropped++
    }
    this.wake()
  }

  end(): void {
    this.over = true
    this.wake()
  }

  async *read(): AsyncIterableIterator<AuditLog> {
    for (let next = this.dropped; ; ) {
      next = Math.max(next, this.dropped)
      const event = this.events[next - this.dropped]
      if (event) {
        next++
        yield event
      } else if (this.over) return
      else await new Promise<void>((resolve) => this.waiting.push(resolve))
    }
  }

  private wake(): void {
    const woken = this.waiting
    this.waiting = []
    for (const resolve of woken) resolve()
  }
}
