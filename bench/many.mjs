// Many jails at once: how fast they start, what each takes of memory, and that nothing is lost: every one answers, reports
// its refusal and ends, and no process, cgroup, file or descriptor is left. All of it happens in a PID namespace of its own:
// what is left over is seen, and cannot outlive us.
// node bench/many.mjs [--jails N] [--way api,cli] [--at-once N: launches side by side] [--minutes N: of each way] [--json]
//   [--write: into docs/benchmarks.md]
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { spawnSandboxed } from '../dist/index.js'
import { at, clock, flagsOf, machine, markdown, quantile, replaceBetween, whereOf } from './lib.mjs'
import { helpers, idling, pss, sumOf } from './processes.mjs'

const flags = flagsOf(import.meta.url, {
  jails: { type: 'string', default: '500' },
  way: { type: 'string', default: 'api' },
  'at-once': { type: 'string', default: '4' },
  minutes: { type: 'string', default: '10' },
  json: { type: 'boolean', default: false },
  write: { type: 'boolean', default: false },
  inside: { type: 'string' } // our own: the folder of the run
})
const count = Number(flags.jails)
const SETTLE_MS = 30_000
const IDLE_SECONDS = 5

/** Is refused one call, and then repeats what it is told. */
const ECHO = ['/bin/sh', '-c', 'unshare --net true 2>/dev/null; exec cat']
const PAYLOAD = /^cat$/
const EVENTS = ['jail.launch', 'syscall.refused', 'jail.exit']

async function actions(jail) {
  const seen = []
  for await (const { event } of jail.events()) seen.push(event.action)
  return seen
}

const auditIn = (folder) => `${folder}/audit.jsonl`
/** Of all jails so far, where the events go to a file. */
const recorded = (folder) =>
  existsSync(auditIn(folder))
    ? readFileSync(auditIn(folder), 'utf8')
        .split('\n')
        .filter((line) => line !== '' && EVENTS.includes(JSON.parse(line).event.action)).length
    : undefined

const WAYS = {
  async api(env, stdio) {
    const jail = await spawnSandboxed({}, ECHO, { env, cwd: '/', stdio, control: true })
    const told = Promise.all([jail.exited, actions(jail)]).then(([{ lostEvents }, seen]) => {
      return lostEvents === 0 && EVENTS.join() === seen.join()
    })
    return { stdin: jail.stdin, stdout: jail.stdout, told, cgroup: jail.cgroup }
  },
  async cli(env, stdio) {
    const argv = ['--audit', auditIn(env.HOME), '--', ...ECHO]
    const child = spawn(at('bin/qi-jail'), argv, { env, cwd: '/', stdio: [...stdio.slice(0, 2), 'ignore'] })
    const told = new Promise((resolve) => child.once('exit', (code) => resolve(code === 0)))
    return { stdin: child.stdin, stdout: child.stdout, told }
  }
}

const ping = async ({ stdin, stdout }, word) => {
  stdin.write(`${word}\n`)
  const ended = new Promise((resolve) => stdout.once('end', () => resolve('')))
  const answer = await Promise.race([new Promise((resolve) => stdout.once('data', resolve)), ended])
  return String(answer) === `${word}\n`
}

/** `run` for each of the numbers, a few side by side. */
async function each(numbers, sideBySide, run) {
  const left = [...numbers]
  const worker = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await run(next)
  }
  await Promise.all(Array.from({ length: sideBySide }, worker))
}

const available = () => Number(/^MemAvailable:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))[1]) * 1024
const processes = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length
const descriptors = () => readdirSync('/proc/self/fd').length
const filesBelow = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory()).length

/** What there is of ours; after the run it has to be what it was before. */
const inventory = (folder, cgroups) => ({
  processes: processes(),
  descriptors: descriptors(),
  files: filesBelow(folder),
  cgroups: cgroups.filter((path) => existsSync(`/sys/fs/cgroup${path}`) || existsSync(`/sys/fs/cgroup/unified${path}`))
    .length
})

/** Until it is as before: the last of a jail ends a moment after what tells us so. */
async function leftOver(before, look) {
  const until = Date.now() + SETTLE_MS
  for (;;) {
    const now = look()
    const left = Object.fromEntries(Object.keys(now).map((name) => [name, now[name] - before[name]]))
    if (Object.values(left).every((more) => more === 0) || Date.now() > until) return left
    await sleep(50)
  }
}

async function measure(folder) {
  const env = {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    HOME: folder,
    XDG_RUNTIME_DIR: folder,
    XDG_CACHE_HOME: `${folder}/cache`
  }
  Object.assign(process.env, env, { TMPDIR: folder })
  const start = () => WAYS[flags.way](env, ['pipe', 'pipe', 'pipe'])
  const end = async (jail) => {
    jail.stdin.end()
    jail.stdout.resume()
    return jail.told
  }
  await end(await start()) // what is loaded and kept once is not any jail's

  const before = inventory(folder, [])
  const free = available()
  const numbers = Array.from({ length: count }, (_, i) => i)
  const [jails, launches] = [[], []]
  const took = clock()
  await each(numbers, Number(flags['at-once']), async (i) => {
    const launch = clock()
    jails[i] = await start()
    if (!(await ping(jails[i], `hello ${i}`))) throw new Error(`jail ${i} gave no answer`)
    launches.push(launch())
  })
  const startMs = took()
  const ours = helpers(process.pid, PAYLOAD)
  const bytes = sumOf(ours, pss)
  const taken = free - available()
  const open = descriptors() - before.descriptors
  const idle = await idling(ours, IDLE_SECONDS)
  const answered = (await Promise.all(jails.map((jail, i) => ping(jail, `still here ${i}`)))).filter(Boolean).length
  const down = clock()
  const told = (await Promise.all(jails.map(end))).filter(Boolean).length
  const endMs = down()
  const left = await leftOver(before, () => inventory(folder, jails.map(({ cgroup }) => cgroup).filter(Boolean)))
  const lost = EVENTS.length * (count + 1) - (recorded(folder) ?? EVENTS.length * (count + 1))
  return {
    way: flags.way,
    jails: count,
    'launches a second': +((count / startMs) * 1000).toFixed(1),
    'launch p50 ms': +quantile(launches, 0.5).toFixed(1),
    'launch p95 ms': +quantile(launches, 0.95).toFixed(1),
    'ends a second': +((count / endMs) * 1000).toFixed(1),
    'PSS a jail, without its payload, kB': +(bytes / count / 1e3).toFixed(0),
    'processes a jail, without its payload': +(ours.length / count).toFixed(2),
    'MemAvailable a jail, kB': +(taken / count / 1e3).toFixed(0),
    'descriptors a jail, here': +(open / count).toFixed(2),
    ...Object.fromEntries(Object.entries(idle).map(([name, value]) => [`${name}, all jails idle`, value])),
    'answered at the end': answered,
    'ended as they should': told,
    left: { ...left, 'events lost': lost }
  }
}

const isWhole = (row) =>
  row['answered at the end'] === count &&
  row['ended as they should'] === count &&
  Object.values(row.left).every((more) => more === 0)

/** The same command again, in a PID namespace that ends with it, and for no longer than `minutes`. @returns its row */
function guarded(way) {
  const folder = mkdtempSync('/var/tmp/qi-many-')
  const own = process.getuid() === 0 ? [] : ['--user', '--map-current-user']
  const shell = ['bash', '-c', '"$@"; exit $?', 'many'] // reaps what loses its parent
  const words = ['--jails', flags.jails, '--at-once', flags['at-once'], '--way', way, '--inside', folder]
  const inside = [process.execPath, fileURLToPath(import.meta.url), ...words]
  const namespace = ['unshare', ...own, '--pid', '--fork', '--kill-child', '--mount-proc', ...shell, ...inside]
  const guard = ['--kill-after=10', `${flags.minutes}m`]
  const stdio = ['ignore', 'pipe', 'inherit']
  const { status, stdout } = spawnSync('timeout', [...guard, ...namespace], { stdio, encoding: 'utf8' })
  rmSync(folder, { recursive: true, force: true })
  if (status !== 0) throw new Error(`--way ${way} ended with ${status}`)
  return JSON.parse(stdout)
}

/** What is measured in lines, the ways in columns. */
function document(report) {
  const names = Object.keys(report.rows[0])
  const cell = (value) => (typeof value === 'object' ? Object.values(value).join(', ') : value)
  const lines = names.slice(1).map((name) => {
    const heading = name === 'left' ? `left: ${Object.keys(report.rows[0].left).join(', ')}` : name
    return { '': heading, ...Object.fromEntries(report.rows.map((row) => [row.way, cell(row[name])])) }
  })
  return `${whereOf(report)}\n\n${markdown(lines)}`
}

const ways = flags.way.split(',')
const unknown = ways.find((way) => !WAYS[way])
if (unknown !== undefined) throw new Error(`--way ${unknown}: known are ${Object.keys(WAYS).join(', ')}`)
if (flags.inside) console.log(JSON.stringify(await measure(flags.inside)))
else {
  const report = { machine: machine(), rows: ways.map(guarded) }
  console.log(flags.json ? JSON.stringify(report, null, 2) : document(report))
  if (flags.write) replaceBetween('docs/benchmarks.md', 'many', document(report))
  process.exitCode = report.rows.every(isWhole) ? 0 : 1
}
