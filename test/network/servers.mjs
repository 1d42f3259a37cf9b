// The "internet" of the test world: a network namespace whose loopback carries the addresses, with every server in it.
// Started by world.mjs; argv[2]: the world's folder. Controlled over HTTP at the Unix socket `control` in that folder.
import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { chmodSync, readFileSync, statSync } from 'node:fs'
import * as http from 'node:http'
import * as https from 'node:https'
import { createServer, isIPv6 } from 'node:net'
import { join, normalize } from 'node:path'
import { queries, serveDns, zone } from './dns.mjs'
import { ADDRESSES, LINK6, NET4, NET6 } from './layout.mjs'
import { postgresServer } from './postgres.mjs'

const folder = process.argv[2]
process.on('disconnect', () => process.exit())

function ip(...args) {
  const run = spawnSync('ip', args, { encoding: 'utf8' })
  if (run.status !== 0) throw new Error(`ip ${args.join(' ')}: ${run.stderr}`)
}

/** The parent puts our end of the veth pair here once it is told that the namespace is there. */
async function configure() {
  ip('link', 'set', 'lo', 'up')
  for (const one of ADDRESSES) {
    ip('addr', 'add', `${one}/${isIPv6(one) ? 128 : 32}`, 'dev', 'lo', ...(isIPv6(one) ? ['nodad'] : []))
  }
  const moved = new Promise((resolve) => process.once('message', resolve))
  process.send('namespace')
  await moved
  ip('link', 'set', 'veth1', 'addrgenmode', 'none')
  ip('addr', 'add', `${LINK6.server}/64`, 'dev', 'veth1', 'nodad')
  ip('addr', 'add', `${NET4.server}/24`, 'dev', 'veth1')
  ip('addr', 'add', `${NET6.server}/64`, 'dev', 'veth1', 'nodad')
  ip('link', 'set', 'veth1', 'up')
}

const plain = (address) => address.replace(/^::ffff:/, '')
const listening = (server, port, host = '::') =>
  new Promise((resolve, reject) => server.once('error', reject).listen({ port, host, backlog: 4096 }, resolve))

let connections = 0
const numbers = new WeakMap()
const requests = new WeakMap()
const sites = {}

function serveFile(path, response) {
  const file = join(folder, 'git', normalize(`/${path}`))
  try {
    if (!statSync(file).isFile()) throw new Error('no file')
    response.end(readFileSync(file))
  } catch {
    response.writeHead(404).end()
  }
}

const BLOCK = Buffer.alloc(1 << 20, 0x71)

/** Bytes as fast as they are taken, then the end. */
function send(stream, count) {
  let left = count
  const more = () => {
    while (left > 0) {
      const part = left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left)
      left -= part.length
      if (!stream.write(part)) return stream.once('drain', more)
    }
    stream.end()
  }
  more()
}

/** `ok ADDRESS PORT connection N request M host NAME sni NAME`: what the server saw of the client. */
function onRequest(request, response) {
  const { socket } = request
  const url = new URL(request.url, 'http://x')
  if (!numbers.has(socket)) numbers.set(socket, ++connections)
  requests.set(socket, (requests.get(socket) ?? 0) + 1)
  if (url.pathname.startsWith('/bytes/')) return send(response, Number(url.pathname.slice(7)))
  const site = sites[`${request.headers.host}${url.pathname}`]
  if (site !== undefined) return response.setHeader('content-type', 'application/json').end(JSON.stringify(site))
  if (url.pathname.startsWith('/git/')) return serveFile(url.pathname.slice(5), response)
  const line = `ok ${plain(socket.localAddress)} ${socket.localPort} connection ${numbers.get(socket)} request ${requests.get(socket)} host ${request.headers.host} sni ${socket.servername || '-'}\n`
  response.setHeader('content-type', 'text/plain')
  response.setHeader('content-length', line.length)
  response.end(line)
}

/** First line `source N`: N bytes and the end. `sink`: answers with the number of bytes it was sent, at the end. */
function onBulk(socket) {
  let got = -1
  socket.on('error', () => {})
  socket.on('end', () => socket.end(got >= 0 ? `${got}\n` : undefined))
  socket.on('data', (chunk) => {
    if (got >= 0) {
      got += chunk.length
      return
    }
    const end = chunk.indexOf(10)
    const [verb, count] = chunk.toString('latin1', 0, end).split(' ')
    got = chunk.length - end - 1
    if (verb !== 'source') return
    got = -1
    send(socket, Number(count))
  })
}

function onEcho(socket) {
  socket.on('error', () => {})
  socket.pipe(socket)
}

function echoDatagrams(host, port) {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  socket.on('message', (bytes, peer) => socket.send(bytes, peer.port, peer.address))
  return new Promise((resolve, reject) => socket.once('error', reject).bind(port, host, resolve))
}

async function onControl(request, response) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const body = chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : undefined
  const act = {
    '/queries': () => queries.splice(0),
    '/zone': () => Object.assign(zone, body),
    '/sites': () => Object.assign(sites, body),
    '/forget': () => ip('neigh', 'flush', 'dev', 'veth1')
  }[request.url]
  response.end(JSON.stringify(act?.() ?? null))
}

await configure()
const tls = { key: readFileSync(join(folder, 'server.key')), cert: readFileSync(join(folder, 'server.pem')) }
const keep = { keepAliveTimeout: 600_000, requestTimeout: 0 }
const half = { allowHalfOpen: true, noDelay: true }
await Promise.all([
  serveDns(['203.0.113.53', '2001:db8::53']),
  ...[80, 8080].map((port) => listening(http.createServer(keep, onRequest), port)),
  ...[443, 8443].map((port) => listening(https.createServer({ ...tls, ...keep }, onRequest), port)),
  ...[7, 1007, 2007].map((port) => listening(createServer(half, onEcho), port)),
  listening(createServer(half, onBulk), 9000),
  listening(postgresServer(), 5432),
  ...ADDRESSES.flatMap((one) => [123, 124].map((port) => echoDatagrams(one, port)))
])
const control = http.createServer((request, response) => void onControl(request, response))
await new Promise((resolve) => control.listen(join(folder, 'control'), resolve))
chmodSync(join(folder, 'control'), 0o777)
process.send('ready')
