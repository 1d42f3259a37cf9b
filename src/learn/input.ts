import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

interface Chunk {
  /** Milliseconds since the one before. */
  after: number
  bytes: Buffer
}

const MAX_BYTES = 64 * 2 ** 20
// Between two requests a person thinks; a replay need not. But a server wants its answers out before the next request.
const MAX_PAUSE_MS = 500

/** What came in on standard input, so that a replay can be given the same. */
export class Recording {
  /** More came than is kept: a replay would be another conversation. */
  overflowed = false
  private readonly chunks: Chunk[] = []
  private bytes = 0
  private last = Date.now()
  private ended = false

  /** Hands everything on, and remembers it. */
  tee(from: Readable, to: Writable): void {
    to.on('error', () => {}) // the payload closed its input: what it read is what there was
    from.on('data', (bytes: Buffer) => {
      this.remember(bytes)
      if (to.writable && !to.write(bytes)) {
        from.pause()
        to.once('drain', () => from.resume())
      }
    })
    from.once('end', () => {
      this.ended = true
      to.end()
    })
  }

  async play(to: Writable): Promise<void> {
    to.on('error', () => {})
    for (const { after, bytes } of this.chunks) {
      await sleep(Math.min(after, MAX_PAUSE_MS))
      if (!to.writable) return
      to.write(bytes)
    }
    if (this.ended) await sleep(MAX_PAUSE_MS)
    to.end()
  }

  private remember(bytes: Buffer): void {
    this.bytes += bytes.length
    this.overflowed ||= this.bytes > MAX_BYTES
    if (this.overflowed) return
    const now = Date.now()
    this.chunks.push({ after: now - this.last, bytes })
    this.last = now
  }
}
