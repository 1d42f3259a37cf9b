import { loadAddon } from './locate.js'

/** getrandom(2), as node:crypto has it, which takes longer to load than a whole launch. */
export const randomBytes = (size: number): Buffer => loadAddon().randomBytes(size)

/** 0 to 65535, each as likely. */
export const randomUint16 = (): number => randomBytes(2).readUInt16LE()

/** RFC 9562, version 4 */
export function randomUuid(): string {
  const bytes = randomBytes(16)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
