/** Cuts a byte stream into lines. Holds at most `max` bytes of an unfinished one. */
export class LineSplitter {
  private rest: Buffer[] = []
  private held = 0

  constructor(private readonly max: number) {}

  /** The lines that end in this chunk. @throws RangeError when an unfinished one grows beyond the maximum. */
  *push(chunk: Buffer): Generator<string> {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      this.rest.push(chunk.subarray(start, end))
      const line = Buffer.concat(this.rest).toString()
      this.clear()
      start = end + 1
      yield line.endsWith('\r') ? line.slice(0, -1) : line
    }
    if (start === chunk.length) return
    this.held += chunk.length - start
    if (this.held > this.max) {
      this.clear()
      throw new RangeError(`a message is longer than ${this.max} bytes`)
    }
    this.rest.push(chunk.subarray(start))
  }

  clear(): void {
    this.rest = []
    this.held = 0
  }
}
