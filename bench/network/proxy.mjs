// A plain CONNECT proxy that allows one host, as sandboxes use that set HTTPS_PROXY: node proxy.mjs ALLOWED-HOST. Says its
// port.
import { createServer } from 'node:http'
import { connect } from 'node:net'

const allowed = process.argv[2]
const server = createServer((_, response) => response.writeHead(405).end())

server.on('connect', (request, client, head) => {
  const [host, port] = request.url.split(':')
  client.on('error', () => client.destroy())
  if (host !== allowed) return client.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  const upstream = connect({ host, port: Number(port), family: 4, noDelay: true }, () => {
    client.setNoDelay(true)
    client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
    upstream.write(head)
    upstream.pipe(client).pipe(upstream)
  })
  upstream.on('error', () => client.destroy())
  client.on('close', () => upstream.destroy())
})
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => console.log(server.address().port))
