// The network as Node programs use it: node client.mjs CASE HOST [PORT]. Prints what the server said, or `failed CODE`.
import dns from 'node:dns'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'

const [name, host, port] = process.argv.slice(2)
const written = host.includes(':') ? `[${host}]` : host
const at = (scheme) => `${scheme}://${written}${port ? `:${port}` : ''}/`

const text = async (stream) => {
  let all = ''
  for await (const chunk of stream.setEncoding('utf8')) all += chunk
  return all
}
const get = (module, url, options = {}) =>
  new Promise((resolve, reject) => module.get(url, options, (response) => resolve(text(response))).on('error', reject))

async function twice(module, url) {
  const agent = new module.Agent({ keepAlive: true, maxSockets: 1 })
  const both = [await get(module, url, { agent }), await get(module, url, { agent })]
  agent.destroy()
  return both.join('')
}

const raw = (socket) =>
  new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    text(socket).then((all) => resolve(all.split('\r\n\r\n')[1]), reject)
  })

const cases = {
  fetch: async () => (await fetch(at('http'))).text(),
  'fetch-tls': async () => (await fetch(at('https'))).text(),
  'fetch-many': async () =>
    (await Promise.all(Array.from({ length: 30 }, async () => (await fetch(at('http'))).text()))).join(''),
  http: () => get(http, at('http')),
  https: () => get(https, at('https')),
  'http-keep-alive': () => twice(http, at('http')),
  'https-keep-alive': () => twice(https, at('https')),
  net: () => raw(net.connect({ host, port: Number(port ?? 80) })),
  'net-happy-eyeballs': () => raw(net.connect({ host, port: Number(port ?? 80), autoSelectFamily: true })),
  tls: () => raw(tls.connect({ host, port: Number(port ?? 443), servername: host })),
  lookup: async () => `${(await dns.promises.lookup(host, { all: true })).map((one) => one.address)}\n`,
  resolve4: async () => `${await dns.promises.resolve4(host)}\n`,
  resolve6: async () => `${await dns.promises.resolve6(host)}\n`,
  'resolve-ttl': async () => `${JSON.stringify(await dns.promises.resolve4(host, { ttl: true }))}\n`
}

try {
  process.stdout.write(await cases[name]())
} catch (error) {
  const cause = error.cause ?? error
  process.stdout.write(`failed ${cause.code ?? cause.errors?.[0]?.code ?? cause.message}\n`)
  process.exitCode = 1
}
