// Launches jails for the limits suite as the user it was started as: one JSON line a request, one a result, in turn, so that
// what is left behind is the last one's. A request has jails that run at once, each with a script of what is done to it.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { spawnSandboxed } from '../../dist/index.js'

/** However slow the machine: a jail that is still there then is a failure. */
const MOST_MS = 240_000

/** Groups of ours on the host, wherever. */
function groups(folder = '/sys/fs/cgroup', depth = 0) {
  if (depth > 8 || !existsSync('/sys/fs/cgroup/cgroup.controllers')) return []
  try {
    return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
      if (!entry.isDirectory()) return []
      const path = `${folder}/${entry.name}`
      return [...(/^qi-jail-[0-9a-f]+$/.test(entry.name) ? [path] : []), ...groups(path, depth + 1)]
    })
  } catch {
    return [] // gone meanwhile
  }
}

const children = () =>
  readdirSync('/proc/self/task').flatMap((tid) =>
    readFileSync(`/proc/self/task/${tid}/children`, 'utf8').split(' ').filter(Boolean)
  )

const named = (folder, pattern) => readdirSync(folder).filter((name) => pattern.test(name))

/** Processes that have one of `markers` on their command line. */
const marked = (markers) =>
  named('/proc', /^\d+$/).filter((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      return Number(pid) !== process.pid && markers.some((marker) => words.includes(marker))
    } catch {
      return false
    }
  })

const present = (markers) => [
  ...groups().map((path) => `group ${path}`),
  ...children().map((pid) => `child ${pid}`),
  ...marked(markers).map((pid) => `process ${pid}`),
  ...readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => `mount ${line.split(' ').slice(3).join(' ')}`),
  ...named('/dev/shm', /^hog-/).map((name) => `file /dev/shm/${name}`)
]

/** What is there and was not; systemd takes a moment to remove a scope. */
async function left(before, markers) {
  for (let i = 0; ; i++) {
    const now = present(markers).filter((one) => !before.includes(one))
    if (now.length === 0 || i === 100) return now
    await sleep(50)
  }
}

async function seen(check, ended) {
  const until = Date.now() + MOST_MS
  while (!check() && !ended() && Date.now() < until) await sleep(5)
}

const ACTS = {
  line: async ({ text, ended }, what) => seen(() => text().includes(what), ended),
  event: async ({ events, ended }, action) => seen(() => events.some((one) => one.event.action === action), ended),
  sleep: async (_, ms) => sleep(ms),
  kill: async ({ jail }) => jail.kill('SIGKILL'),
  signal: async ({ jail }, name) => jail.kill(name),
  pause: async ({ jail }) => jail.pause(),
  resume: async ({ jail }) => jail.resume(),
  stats: async ({ jail, stats }) => stats.push(await jail.stats())
}

async function follow(script, about) {
  for (const [act, argument] of script) {
    if (about.ended()) return
    try {
      await ACTS[act](about, argument)
    } catch (error) {
      if (!about.ended()) about.failures.push(`${act}: ${error.message}`)
    }
  }
}

async function run({ config, argv, script = [] }) {
  const began = performance.now()
  let jail
  try {
    jail = await spawnSandboxed(config, argv, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' })
  } catch (error) {
    return { error: { code: error.code, message: error.message, stepName: error.stepName, errno: error.errno } }
  }
  const result = { stdout: '', stderr: '', events: [], stats: [], failures: [], protections: jail.protections }
  for (const stream of ['stdout', 'stderr']) jail[stream].on('data', (chunk) => (result[stream] += chunk))
  const closed = Promise.all(['stdout', 'stderr'].map((name) => new Promise((r) => jail[name].once('close', r))))
  const seenEvents = (async () => {
    for await (const event of jail.events()) result.events.push(event)
  })()
  let over = false
  const guard = setTimeout(() => {
    result.failures.push('it did not end')
    jail.kill('SIGKILL')
  }, MOST_MS)
  const exited = jail.exited.finally(() => (over = true))
  const about = { ...result, jail, text: () => result.stdout, ended: () => over }
  await follow(script, about)
  result.exit = await exited
  clearTimeout(guard)
  await Promise.all([closed, seenEvents])
  return { ...result, ms: performance.now() - began }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { jails, markers } = JSON.parse(line)
  const before = present(markers)
  const results = await Promise.all(jails.map(run))
  const remains = await left(before, markers)
  process.stdout.write(`${JSON.stringify({ results, left: remains })}\n`)
}
