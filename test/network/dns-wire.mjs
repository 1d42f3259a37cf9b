// As much of RFC 1035 and 6891 as a test server needs: reading a query, writing an answer, well-formed or not.
import { isIPv6 } from 'node:net'

export const TYPES = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33, SVCB: 64, HTTPS: 65 }
const OPT = 41

export function encodeName(name) {
  const labels = name === '' ? [] : name.split('.')
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])),
    Buffer.from([0])
  ])
}

function decodeName(bytes, at) {
  const labels = []
  while (bytes[at] !== 0) {
    const size = bytes[at]
    if (!(size < 64)) throw new RangeError('no name')
    labels.push(bytes.toString('latin1', at + 1, at + 1 + size))
    at += 1 + size
  }
  return { name: labels.join('.'), next: at + 1 }
}

/** `size`: how large an answer over UDP may be. Throws RangeError on what is no query. */
export function decodeQuery(bytes) {
  const { name, next } = decodeName(bytes, 12)
  const type = bytes.readUInt16BE(next)
  const question = bytes.subarray(12, next + 4)
  const edns = bytes.readUInt16BE(10) > 0 && bytes[next + 4] === 0 && bytes.readUInt16BE(next + 5) === OPT
  const size = edns ? Math.max(512, bytes.readUInt16BE(next + 7)) : 512
  return { id: bytes.readUInt16BE(0), name: name.toLowerCase(), asked: name, type, question, edns, size }
}

export function address(text) {
  if (!isIPv6(text)) return Buffer.from(text.split('.').map(Number))
  const dotted = text.match(/^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/)
  const plain = dotted
    ? `${dotted[1]}${((dotted[2] << 8) | dotted[3]).toString(16)}:${((dotted[4] << 8) | dotted[5]).toString(16)}`
    : text
  const [head, tail] = plain.split('::').map((half) => (half === '' ? [] : half.split(':')))
  const groups = tail ? [...head, ...Array(8 - head.length - tail.length).fill('0'), ...tail] : head
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex')
}

/** `data`: text of the type's own kind, or bytes. */
export function encodeRecord({ name, type, ttl, data }) {
  const rdata = Buffer.isBuffer(data)
    ? data
    : type === TYPES.CNAME || type === TYPES.PTR
      ? encodeName(data)
      : type === TYPES.TXT
        ? Buffer.concat([Buffer.from([data.length]), Buffer.from(data)])
        : address(data)
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(type, 0)
  fixed.writeUInt16BE(1, 2)
  fixed.writeUInt32BE(ttl, 4)
  fixed.writeUInt16BE(rdata.length, 8)
  return Buffer.concat([Buffer.isBuffer(name) ? name : encodeName(name), fixed, rdata])
}

const opt = () => Buffer.from([0, 0, OPT, 0x10, 0, 0, 0, 0, 0, 0, 0])

/** `answers`: encoded records. */
export function encodeAnswer(query, { answers = [], authority = [], code = 0, id = query.id, truncated = false }) {
  const header = Buffer.alloc(12)
  header.writeUInt16BE(id, 0)
  header.writeUInt16BE(0x8580 | (truncated ? 0x0200 : 0) | code, 2) // QR, AA, RD, RA
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(answers.length, 6)
  header.writeUInt16BE(authority.length, 8)
  header.writeUInt16BE(query.edns ? 1 : 0, 10)
  return Buffer.concat([header, query.question, ...answers, ...authority, ...(query.edns ? [opt()] : [])])
}

/** `%XX` in a label is that byte, also a dot. */
const encodeLabels = (name) =>
  Buffer.concat([
    ...name.split('.').map((label) => {
      const bytes = Buffer.from(
        label.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
        'latin1'
      )
      return Buffer.concat([Buffer.from([bytes.length]), bytes])
    }),
    Buffer.from([0])
  ])

export function encodeQuery({ id, name, type, edns = 0 }) {
  const header = Buffer.alloc(12)
  header.writeUInt16BE(id, 0)
  header.writeUInt16BE(0x0100, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(edns ? 1 : 0, 10)
  const tail = Buffer.from([type >> 8, type & 255, 0, 1])
  return Buffer.concat([header, encodeLabels(name), tail, ...(edns ? [optOf(edns)] : [])])
}

const optOf = (size) => Buffer.from([0, 0, OPT, size >> 8, size & 255, 0, 0, 0, 0, 0, 0])

const CODES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED']

/** `[labels, next]`; follows pointers, a bounded number of times. */
function readName(bytes, start) {
  const labels = []
  let next
  for (let at = start, hops = 0; hops < 20; hops++) {
    while (bytes[at] > 0 && bytes[at] < 0xc0) {
      labels.push(bytes.toString('latin1', at + 1, at + 1 + bytes[at]))
      at += 1 + bytes[at]
    }
    if (bytes[at] === 0) return [labels.join('.'), next ?? at + 1]
    next ??= at + 2
    at = bytes.readUInt16BE(at) & 0x3fff
  }
  throw new Error('a loop of pointers')
}

function textOf(bytes, type, at, size) {
  if (type === TYPES.A) return bytes.subarray(at, at + 4).join('.')
  if (type === TYPES.CNAME) return readName(bytes, at)[0]
  return bytes.toString('hex', at, at + size)
}

/** The answer on one line: `NOERROR [tc] question=NAME NAME/TYPE/TTL=DATA ...`; IPv6 addresses as hex. */
export function describeAnswer(bytes, id) {
  if (bytes.readUInt16BE(0) !== id) return 'another id'
  const flags = bytes.readUInt16BE(2)
  const words = [CODES[flags & 15] ?? `RCODE${flags & 15}`, ...(flags & 0x0200 ? ['tc'] : [])]
  if (bytes.readUInt16BE(4) === 0) return words.join(' ')
  let [question, at] = readName(bytes, 12)
  words.push(`question=${question}`)
  at += 4
  for (let left = bytes.readUInt16BE(6); left > 0; left--) {
    const [name, fixed] = readName(bytes, at)
    const [type, ttl, size] = [bytes.readUInt16BE(fixed), bytes.readUInt32BE(fixed + 4), bytes.readUInt16BE(fixed + 8)]
    const kind = Object.keys(TYPES).find((key) => TYPES[key] === type) ?? type
    words.push(`${name}/${kind}/${ttl}=${textOf(bytes, type, fixed + 10, size)}`)
    at = fixed + 10 + size
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a line an answer
  return words.join(' ').replace(/[\x00-\x1f]/g, '?')
}
