import { Socket } from 'node:net'
import type { AuditLog } from '../event/schema.js'

/** What qi-monitor says over its control socket, one JSON object a line (native/monitor/main.cc). */
export type MonitorMessage =
  | { type: 'started'; pid: number; init: number; trace?: Record<string, number> }
  | { type: 'failed'; step: number; errno: number; detail: string }
  | { type: 'event'; event: AuditLog }
  | { type: 'exit'; code?: number; signal?: number; reason: string; refusals: number; lost: number }

/** Our end of the control socket. Closing it ends the jail. */
export class ControlSocket {
  private readonly socket: Socket
  private rest: Buffer[] = []

  constructor(fd: number, onMessage: (message: MonitorMessage) => void, onClose: () => void) {
    this.socket = new Socket({ fd, readable: true, writable: true })
    this.socket.on('data', (chunk: Buffer) => {
      for (const line of this.lines(chunk)) onMessage(JSON.parse(line) as MonitorMessage)
    })
    this.socket.on('error', () => {}) // `close` follows, and means the same: qi-monitor is gone
    this.socket.on('close', onClose)
  }

  send(line: string): void {
    if (!this.socket.destroyed) this.socket.write(`${line}\n`)
  }

  close(): void {
    this.socket.destroy()
  }

  unref(): void {
    this.socket.unref()
  }

  private *lines(chunk: Buffer): Generator<string> {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      this.rest.push(chunk.subarray(start, end))
      yield Buffer.concat(this.rest).toString()
      this.rest = []
      start = end + 1
    }
    if (start < chunk.length) this.rest.push(chunk.subarray(start))
  }
}
