// What a payload does with local sockets: node unix-payload.mjs ACT ARGS…; one JSON line says how it went.
import { renameSync, rmSync, symlinkSync } from 'node:fs'
import { get } from 'node:http'
import { connect, createServer } from 'node:net'
import { isMainThread, Worker, workerData } from 'node:worker_threads'

/** What the server says, or the error's code. */
const ask = (path) =>
  new Promise((resolve) => {
    let said = ''
    const socket = connect({ path })
    socket.setTimeout(5000, () => socket.destroy(Object.assign(new Error(), { code: 'ETIMEDOUT' })))
    socket.on('data', (text) => {
      said += text
    })
    socket.on('error', (error) => resolve(error.code))
    socket.on('close', () => resolve(said))
  })

const flips = {
  link(folder, round) {
    symlinkSync(round % 2 ? 'listed' : 'other', `${folder}/new`)
    renameSync(`${folder}/new`, `${folder}/at`)
  },
  name(folder) {
    renameSync(`${folder}/listed`, `${folder}/third`)
    renameSync(`${folder}/other`, `${folder}/listed`)
    renameSync(`${folder}/third`, `${folder}/other`)
  }
}

const acts = {
  ask: (...paths) => Promise.all(paths.map(ask)),
  http: (socketPath) =>
    new Promise((resolve, reject) => {
      get({ socketPath, path: '/' }, async (response) => {
        resolve({ status: response.statusCode, body: (await response.toArray()).join('') })
      }).on('error', reject)
    }),
  /** Names change places in another thread as fast as they can, while this one connects: for `ms`, and until it met both. */
  async swap(how, folder, ms) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { how, folder } })
    const seen = {}
    const [end, last] = [1, 30].map((times) => Date.now() + times * ms)
    while (Date.now() < (seen.listed && seen.EACCES ? end : last)) {
      const answer = await ask(`${folder}/${how === 'link' ? 'at' : 'listed'}`)
      seen[answer] = (seen[answer] ?? 0) + 1
    }
    await worker.terminate()
    return seen
  },
  /** Another socket under the listed name. */
  async impostor(path, other) {
    rmSync(path)
    renameSync(other, path)
    return await ask(path)
  },
  async own(path) {
    const server = createServer((peer) => peer.end('own'))
    await new Promise((resolve) => server.listen(path, resolve))
    const answer = await ask(path)
    server.close()
    return answer
  }
}

if (isMainThread) {
  const [act, ...args] = process.argv.slice(2)
  console.log(JSON.stringify(await acts[act](...args)))
} else {
  const { how, folder } = workerData
  for (let round = 0; ; round++) {
    try {
      flips[how](folder, round)
    } catch {
      // The other thread ends in the middle of a round at most.
    }
  }
}
