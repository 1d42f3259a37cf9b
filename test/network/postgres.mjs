// A PostgreSQL server that lets nobody in, and says in its refusal who asked for what, and where.
import { createServer } from 'node:net'

/** The names and values of a startup packet: after its length and version pairs of strings, each with a NUL behind it. */
function startupOf(packet) {
  const words = packet.toString('latin1', 8).split('\0')
  return Object.fromEntries(words.flatMap((word, i) => (i % 2 === 0 && word ? [[word, words[i + 1]]] : [])))
}

/** An ErrorResponse: its fields are severity, SQLSTATE (not authorized) and message. */
function refusal(message) {
  const fields = Buffer.from(`SFATAL\0C28000\0M${message}\0\0`)
  const head = Buffer.from('E\0\0\0\0')
  head.writeInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields])
}

function onClient(socket) {
  let got = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    got = Buffer.concat([got, chunk])
    if (got.length < 4 || got.length < got.readInt32BE(0)) return
    const { user, database } = startupOf(got)
    socket.end(refusal(`port ${socket.localPort} has no ${database} for ${user}`))
  })
}

export const postgresServer = () => createServer(onClient)
