// Requests a second of Node's http client over one keep-alive connection: node requests.mjs HOST PORT COUNT [PROXY-PORT].
import http from 'node:http'
import net from 'node:net'

const [host, port, count, proxy] = process.argv.slice(2)

/** As proxy agents do it. */
const throughProxy = () =>
  new Promise((resolve, reject) => {
    const socket = net.connect(Number(proxy), '127.0.0.1', () =>
      socket.write(`CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    )
    socket.once('data', () => resolve(socket)).once('error', reject)
  })

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
if (proxy) {
  const socket = await throughProxy()
  agent.createConnection = () => socket
}

const once = () =>
  new Promise((resolve, reject) => {
    http.get({ host, port, agent, family: 4 }, (response) => response.resume().on('end', resolve)).on('error', reject)
  })

for (let i = 0; i < 200; i++) await once()
const began = process.hrtime.bigint()
for (let i = 0; i < Number(count); i++) await once()
const seconds = Number(process.hrtime.bigint() - began) / 1e9
console.log(JSON.stringify([Number(count) / seconds]))
process.exit()
