import { readFileSync } from 'node:fs'

/** What Node puts where bytes are not UTF-8; only then are the real bytes worth a look. */
const LOST = '\ufffd'

const parts = (bytes: Buffer): Buffer[] => {
  const found: Buffer[] = []
  for (let start = 0, end = bytes.indexOf(0); end >= 0; start = end + 1, end = bytes.indexOf(0, start)) {
    found.push(bytes.subarray(start, end))
  }
  return found
}

/**
 * Arguments of `command`, the tail of our own, whose bytes process.argv could not hold: index -> bytes. Not those that
 * resolving wrote anew into `resolved`.
 */
export function rawArguments(command: string[], resolved: string[]): Map<number, Uint8Array> {
  const raw = new Map<number, Uint8Array>()
  if (!command.some((argument) => argument.includes(LOST))) return raw
  const tail = parts(readFileSync('/proc/self/cmdline')).slice(-command.length)
  command.forEach((argument, i) => {
    const bytes = tail[i]
    if (argument.includes(LOST) && resolved[i] === argument && bytes?.toString() === argument) raw.set(i, bytes)
  })
  return raw
}

/** Environment variables whose values process.env could not hold: name -> bytes of the value. */
export function rawEnvironment(env: NodeJS.ProcessEnv): Map<string, Uint8Array> {
  const lost = Object.entries(env).filter(([, value]) => value?.includes(LOST))
  if (lost.length === 0) return new Map()
  const entries = parts(readFileSync('/proc/self/environ')).map((entry) => {
    const at = entry.indexOf('=')
    return [entry.subarray(0, at).toString(), entry.subarray(at + 1)] as const
  })
  const values = new Map(entries)
  return new Map(
    lost.flatMap(([name, text]) => {
      const bytes = values.get(name)
      return bytes && bytes.toString() === text ? [[name, bytes] as const] : []
    })
  )
}
