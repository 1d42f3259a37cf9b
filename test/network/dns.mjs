// The resolver of the test world: authoritative for its zone, over UDP and TCP, with the answers a hostile one may give.
import { createSocket } from 'node:dgram'
import { createServer, isIPv6 } from 'node:net'
import { decodeQuery, encodeAnswer, encodeName, encodeRecord, TYPES } from './dns-wire.mjs'
import { lookup, ZONE } from './zone.mjs'

export const zone = { ...ZONE }
/** Every query, in order. */
export const queries = []

const TTL = 60
// Priority 1, target ".", alpn h2 and ipv4hint 203.0.113.11: a client that follows it would connect elsewhere.
const HTTPS = Buffer.from('0001000001000302683200040004cb00710b', 'hex')

function recordsOf(name, type, depth = 0) {
  const entry = lookup(zone, name)
  if (!entry || depth > 8) return []
  const ttl = entry.ttl ?? TTL
  if (entry.CNAME && type !== TYPES.CNAME) {
    return [{ name, type: TYPES.CNAME, ttl, data: entry.CNAME }, ...recordsOf(entry.CNAME, type, depth + 1)]
  }
  const kind = Object.keys(TYPES).find((key) => TYPES[key] === type)
  const values = entry[kind] === true ? [HTTPS] : [entry[kind] ?? []].flat()
  return values.map((data) => ({ name, type, ttl, data }))
}

const pointer = Buffer.from([0xc0, 12])
const ADDRESS = { type: TYPES.A, ttl: TTL, data: '203.0.113.10' }

const ODD = {
  servfail: (query) => encodeAnswer(query, { code: 2 }),
  silent: () => undefined,
  // The owner of the record, after the question, points at itself.
  loop: (query) => {
    const at = 12 + query.question.length
    const self = Buffer.from([0xc0 | (at >> 8), at & 255])
    return encodeAnswer(query, { answers: [encodeRecord({ ...ADDRESS, name: self })] })
  },
  'wrong-name': (query) => {
    const question = Buffer.concat([encodeName('api.example.test'), query.question.subarray(-4)])
    const answers = [encodeRecord({ ...ADDRESS, name: 'api.example.test' })]
    return encodeAnswer({ ...query, question }, { answers })
  },
  'wrong-id': (query) =>
    encodeAnswer(query, { id: query.id ^ 1, answers: [encodeRecord({ ...ADDRESS, name: pointer })] }),
  // Beside what was asked, an address for somebody else's name.
  poison: (query) => {
    const stray = encodeRecord({ name: 'other.example.test', type: TYPES.A, ttl: TTL, data: '10.1.2.3' })
    const own = query.type === TYPES.A ? [encodeRecord({ ...ADDRESS, name: query.name })] : []
    return encodeAnswer(query, { answers: [stray, ...own, stray] })
  },
  short: (query) => encodeAnswer(query, { answers: [encodeRecord({ ...ADDRESS, name: pointer })] }).subarray(0, -3),
  garbage: (query) => Buffer.concat([query.question, Buffer.alloc(40, 0xff)])
}

function answer(bytes, transport) {
  try {
    return answerTo(decodeQuery(bytes), transport)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

function answerTo(query, transport) {
  queries.push({ name: query.name, type: query.type, transport, edns: query.edns })
  const entry = lookup(zone, query.name)
  if (entry?.odd) return ODD[entry.odd](query)
  if (!entry) return encodeAnswer(query, { code: 3 })
  const whole = encodeAnswer(query, { answers: recordsOf(query.name, query.type).map(encodeRecord) })
  if (transport === 'tcp' || whole.length <= query.size) return whole
  return encodeAnswer(query, { truncated: true })
}

function serveTcp(host, port) {
  const server = createServer((socket) => {
    let pending = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk])
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const size = pending.readUInt16BE(0)
        const reply = answer(pending.subarray(2, 2 + size), 'tcp')
        pending = pending.subarray(2 + size)
        if (reply) socket.write(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]))
      }
    })
  })
  return new Promise((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
}

function serveUdp(host, port) {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  socket.on('message', (bytes, peer) => {
    const reply = answer(bytes, 'udp')
    if (reply) socket.send(reply, peer.port, peer.address)
  })
  return new Promise((resolve, reject) => socket.once('error', reject).bind(port, host, resolve))
}

export const serveDns = (hosts, port = 53) =>
  Promise.all(hosts.flatMap((host) => [serveTcp(host, port), serveUdp(host, port)]))
