// A DNS client that asks what it is told to, well-formed or not: node dns-query.mjs QUERY..., one line an answer. A query:
// udp|tcp|edns:NAME:TYPE (a name may hold %XX), or raw:HEX (sent by UDP with an id of its own). The server is the first of
// /etc/resolv.conf.
import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { connect, isIPv6 } from 'node:net'
import { describeAnswer, encodeQuery, TYPES } from './dns-wire.mjs'

const server = readFileSync('/etc/resolv.conf', 'utf8').match(/^nameserver\s+(\S+)/m)[1]
const PATIENCE = 40_000
let nextId = 1000

const byUdp = (bytes) =>
  new Promise((resolve) => {
    const socket = createSocket(isIPv6(server) ? 'udp6' : 'udp4')
    const done = (result) => {
      clearTimeout(timer)
      socket.close()
      resolve(result)
    }
    const timer = setTimeout(done, PATIENCE, undefined)
    socket.once('error', () => done(undefined)).once('message', done)
    socket.send(bytes, 53, server)
  })

const byTcp = (bytes) =>
  new Promise((resolve) => {
    let all = Buffer.alloc(0)
    const socket = connect({ port: 53, host: server })
    const done = (result) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(result)
    }
    const timer = setTimeout(done, PATIENCE, undefined)
    socket.once('error', () => done(undefined)).once('end', () => done(undefined))
    socket.on('data', (chunk) => {
      all = Buffer.concat([all, chunk])
      if (all.length >= 2 && all.length >= 2 + all.readUInt16BE(0)) done(all.subarray(2, 2 + all.readUInt16BE(0)))
    })
    socket.write(Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]))
  })

async function ask(query) {
  const [how, written, type] = query.split(':')
  const id = nextId++
  if (how === 'raw') {
    const bytes = Buffer.from(written, 'hex')
    if (bytes.length >= 2) bytes.writeUInt16BE(id, 0)
    const answer = await Promise.race([byUdp(bytes), new Promise((resolve) => setTimeout(resolve, 500))])
    return answer ? describeAnswer(answer, id) : 'silence'
  }
  const bytes = encodeQuery({ id, name: written, type: TYPES[type] ?? Number(type), edns: how === 'edns' ? 1232 : 0 })
  const answer = await (how === 'tcp' ? byTcp(bytes) : byUdp(bytes))
  return answer ? describeAnswer(answer, id) : 'silence'
}

const [mode, ...rest] = process.argv.slice(2)
if (mode === 'at-once') for (const line of await Promise.all(rest.map(ask))) console.log(line)
else for (const query of [mode, ...rest]) console.log(await ask(query))
process.exit()
