// Runs jobs, one after another, in a process of its own: as another user, below a filter, or only to be looked at from
// outside. argv[2]: a file with JobRequest[] (driver.ts) as JSON. stdout: JobResult[] as JSON.
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { prepare, spawnSandboxed } from '../../dist/index.js'

const { folder, jobs } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const temporary = join(folder, 'tmp')
mkdirSync(temporary, { recursive: true })
process.env.TMPDIR = temporary

const children = () =>
  readdirSync('/proc/self/task').flatMap((tid) => {
    const pids = readFileSync(`/proc/self/task/${tid}/children`, 'utf8').trim()
    return pids === '' ? [] : pids.split(' ').map(Number)
  })

const snapshot = () => ({
  fds: readdirSync('/proc/self/fd').length,
  mounts: readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length,
  cgroup: readFileSync('/proc/self/cgroup', 'utf8'),
  children: children(),
  files: readdirSync(temporary).length,
  rss: process.memoryUsage.rss()
})

const collect = (stream) => {
  const chunks = []
  stream?.on('data', (chunk) => chunks.push(chunk))
  return () => Buffer.concat(chunks).toString()
}

/** Streams are closed by the event loop a little after the jail has ended. */
async function settled(before) {
  for (let i = 0; i < 100; i++) {
    const now = snapshot()
    if (now.fds <= before.fds && now.children.length <= before.children.length) return now
    await sleep(10)
  }
  return snapshot()
}

/** With a pool the jail is one of those that waited; the others go. */
async function launch({ config, argv, options, pool, keep }) {
  const asked = { cwd: folder, ...options }
  if (pool === undefined) return spawnSandboxed(config, argv, asked)
  const launcher = await prepare(config, argv, { ...asked, pool })
  try {
    return await launcher.spawn()
  } finally {
    if (!keep) await launcher.close()
  }
}

async function runOnce(job) {
  let jail
  try {
    jail = await launch(job)
  } catch (error) {
    const { name, code, message, step, stepName, errno, hint } = error
    return { error: { name, code, message, step, stepName, errno, hint } }
  }
  const stdout = collect(jail.stdout)
  const stderr = collect(jail.stderr)
  const ended = [jail.stdout, jail.stderr].map(
    (s) => s && !s.closed && new Promise((resolve) => s.once('close', resolve))
  )
  jail.stdin?.end()
  const exit = await jail.exited
  await Promise.all(ended)
  const events = []
  for await (const event of jail.events()) events.push(event)
  return {
    exit,
    events,
    stdout: stdout(),
    stderr: stderr(),
    protections: jail.protections,
    pid: jail.pid,
    trace: jail.trace
  }
}

async function run(job) {
  const before = snapshot()
  let result
  for (let i = 0; i < (job.times ?? 1); i += job.atOnce ?? 1) {
    const batch = await Promise.all(Array.from({ length: job.atOnce ?? 1 }, () => runOnce(job)))
    result = batch.find((one) => one.error) ?? batch[0]
    if (result.error && job.times > 1) break
  }
  return { ...result, before, after: await settled(before) }
}

// The first launch loads the addon and starts the pool threads: what they hold is not a leak.
await runOnce({
  config: { tolerate: ['landlockFs', 'landlockNet', 'landlockScope', 'mandatoryDenies'] },
  argv: ['/bin/true']
})
const results = []
for (const job of jobs) results.push(await run(job))
console.log(JSON.stringify(results))
