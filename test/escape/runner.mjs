// Launches jails for the escape suite as the user it was started as, one JSON line a request and a result. One process for
// many acts: loading the package takes longer than the jail.
import { closeSync, openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { spawnSandboxed } from '../../dist/index.js'

const collect = async (stream) => {
  const chunks = []
  if (stream) for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** `files[i]`: [path, flags] opened here, as the caller would have, and handed in as descriptor i. */
async function run({ config, argv, files = [], cwd, env, killAfterMs }) {
  const opened = []
  const stdio = [0, 1, 2].map((i) => {
    if (!files[i]) return i === 0 ? 'ignore' : 'pipe'
    opened.push(openSync(...files[i]))
    return opened.at(-1)
  })
  try {
    const options = { stdio, ...(cwd ? { cwd } : {}), ...(env ? { env: { ...process.env, ...env } } : {}) }
    const jail = await spawnSandboxed(config, argv, options)
    const events = []
    jail.on('event', (event) => events.push(event))
    const seen = (async () => {
      for await (const event of jail.events()) if (!events.includes(event)) events.push(event)
    })()
    if (killAfterMs) setTimeout(() => jail.kill('SIGKILL'), killAfterMs)
    const [stdout, stderr, exit] = await Promise.all([collect(jail.stdout), collect(jail.stderr), jail.exited])
    await seen
    return { stdout, stderr, exit, events }
  } catch (error) {
    return { error: { code: error.code, message: error.message } }
  } finally {
    for (const fd of opened) closeSync(fd)
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, ...request } = JSON.parse(line)
  void run(request).then((result) => process.stdout.write(`${JSON.stringify({ id, ...result })}\n`))
}
