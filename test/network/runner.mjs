// Launches jails in the test world, as whom it was started: one JSON line a request (world.ts) and a result. argv[2]: the
// world's folder.
import { execFile } from 'node:child_process'
import { request } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { spawnSandboxed } from '../../dist/index.js'

const setZone = (records) =>
  new Promise((resolve, reject) => {
    const socketPath = join(process.argv[2], 'control')
    const post = request({ socketPath, path: '/zone', method: 'POST', agent: false }, (response) => {
      response.resume().on('end', resolve)
    })
    post.once('error', reject).end(JSON.stringify(records))
  })

/** Does each step as soon as the jail has printed its word. */
async function follow(steps, jail, seen, updates, kill) {
  const settled = (promise) =>
    promise.then(
      () => updates.push('ok'),
      (error) => updates.push(error.code ?? error.message)
    )
  for (const { when, control, network, allow, deny, host, stdin, end, killAfter } of steps) {
    while (!seen.stdout.includes(when)) {
      if (seen.ended) return
      await sleep(10)
    }
    if (control) await setZone(control)
    if (network) await settled(jail.updateNetwork(network))
    if (allow) await settled(jail.allowHost(allow))
    if (deny) await settled(jail.denyHost(deny))
    if (host) updates.push(await outside(host))
    if (stdin) jail.stdin.write(stdin)
    if (end) jail.stdin.end()
    if (killAfter !== undefined) await sleep(killAfter).then(kill)
  }
}

const outside = ([file, ...args]) =>
  new Promise((resolve) =>
    execFile(file, args, { timeout: 20_000 }, (error, stdout) => resolve(stdout.trim() || String(error)))
  )

async function run({ config, argv, env, cwd, steps = [], answers, askTimeout, timeout = 60_000 }) {
  const seen = { stdout: '', stderr: '', ended: false }
  const [updates, asked, decided, events] = [[], [], [], []]
  const onConnect = ({ signal: _, ...question }) => {
    asked.push(question)
    const answer = answers[question.host] ?? 'deny'
    return answer === 'never' ? new Promise(() => {}) : answer
  }
  const asking = answers ? { onConnect, ...(askTimeout ? { askTimeout } : {}) } : {}
  try {
    const options = { cwd: cwd ?? '/', env: { ...process.env, ...env }, ...asking }
    const jail = await spawnSandboxed(config, argv, { ...options, stdio: ['pipe', 'pipe', 'pipe'] })
    jail.on('askDecision', (answer) => decided.push(answer))
    let killedAt
    const kill = () => {
      killedAt = performance.now()
      jail.kill('SIGKILL')
    }
    const timer = setTimeout(kill, timeout)
    const gathered = (async () => {
      for await (const event of jail.events()) events.push(event)
    })()
    const read = (name) =>
      new Promise((resolve) => jail[name].on('data', (chunk) => (seen[name] += chunk)).once('close', resolve))
    const both = Promise.all([read('stdout'), read('stderr')])
    if (steps.length === 0) jail.stdin.end()
    const followed = follow(steps, jail, seen, updates, kill)
    const exit = await jail.exited
    const killMs = killedAt === undefined ? undefined : performance.now() - killedAt
    clearTimeout(timer)
    seen.ended = true
    await Promise.all([both, followed, gathered])
    return { stdout: seen.stdout, stderr: seen.stderr, exit, killMs, events, updates, asked, decided }
  } catch (error) {
    return { error: { code: error.code, message: error.message, hint: error.hint } }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, ...what } = JSON.parse(line)
  void run(what).then((result) => process.stdout.write(`${JSON.stringify({ id, ...result })}\n`))
}
