/** Cuts a byte stream into lines. Holds at most `max` bytes of an unfinished one. */
export class LineSplitter {
  // One buffer that grows, not a list of chunks: a writer of single bytes would have each cost a hundred.
  private held = Buffer.alloc(0)
  private size = 0

  constructor(private readonly max: number) {}

  /** The lines that end in this chunk. @throws RangeError when an unfinished one grows beyond the maximum. */
  *push(chunk: Buffer): Generator<string> {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const line = this.finish(chunk.subarray(start, end))
      start = end + 1
      yield line.endsWith('\r') ? line.slice(0, -1) : line
    }
    if (start < chunk.length) this.hold(chunk.subarray(start))
  }

  clear(): void {
    this.held = Buffer.alloc(0)
    this.size = 0
  }

  private finish(rest: Buffer): string {
    if (this.size === 0) return rest.toString()
    const line = Buffer.concat([this.held.subarray(0, this.size), rest]).toString()
    this.clear()
    return line
  }

  private hold(part: Buffer): void {
    const size = this.size + part.length
    if (size > this.max) {
      this.clear()
      throw new RangeError(`a message is longer than ${this.max} bytes`)
    }
    if (size > this.held.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(this.max, Math.max(size, this.held.length * 2)))
      this.held.copy(larger, 0, 0, this.size)
      this.held = larger
    }
    part.copy(this.held, this.size)
    this.size = size
  }
}
