// What limits cost and how well they hold: overshoot, launch, the watchdog's own use, and ten hostile neighbours.
// node bench/limits/run.mjs [--rounds N] [--calls N] [--seconds N] [--only overshoot,launch,watchdog,look,crowd] [--json]
// With a cgroup where the host gives one, and the watchdog everywhere.
import { setTimeout as sleep } from 'node:timers/promises'
import { spawnSandboxed } from '../../dist/index.js'
import { clock, flagsOf, interleave, machine, markdown, quantile, table } from '../lib.mjs'
import { crowd } from './crowd.mjs'
import { backendOf, HOG, MB, reached, start, until, usageOf } from './hogs.mjs'

const flags = flagsOf(import.meta.url, {
  rounds: { type: 'string', default: '20' },
  calls: { type: 'string', default: '400' },
  seconds: { type: 'string', default: '10' },
  only: { type: 'string', default: 'overshoot,launch,watchdog,look,crowd' },
  json: { type: 'boolean', default: false }
})
const rounds = Number(flags.rounds)
const only = flags.only.split(',')
const LIMIT = 128 * MB
const MOST = '2G'
const limited = (more = {}) => ({ maxMemory: LIMIT, maxProcesses: 256, tmpSize: '2GB', ...more })
const files = { maxFileSize: '4GB' }

async function hasCgroup() {
  const { jail } = await start(['heap', '1M'], limited())
  await jail.exited
  if (backendOf(jail) === 'cgroup') return true
  console.error(`no cgroup: ${jail.protections.find(({ name }) => name === 'memoryLimit').reason}`)
  return false
}
const cgroup = await hasCgroup()
const backends = cgroup ? { cgroup: 'auto', watchdog: 'off' } : { watchdog: 'off' }

const FASTEST = {
  'private mappings, 1 thread': ['touch', MOST, '1'],
  'private mappings, 2 threads': ['touch', MOST, '2'],
  'many processes': ['family', MOST],
  'shared mappings, 1 thread': ['shared', MOST],
  'populated by the kernel, 1 thread': ['populate-shared', MOST, '1'],
  'populated by the kernel, 2 threads': ['populate-shared', MOST, '2'],
  'a file in /tmp': ['file', MOST, '/tmp/hog'],
  'a memfd': ['memfd', MOST]
}

/** How far each way gets beyond the limit before it is ended, by what the hog itself says. */
async function overshoot() {
  const rows = []
  for (const [backend, choice] of Object.entries(backends)) {
    const over = Object.fromEntries(Object.keys(FASTEST).map((name) => [name, []]))
    const reasons = {}
    for (let round = 0; round < rounds; round++) {
      for (const [name, words] of Object.entries(FASTEST)) {
        const { jail, text } = await start([...words, '--seconds', '60'], limited({ cgroup: choice }), files)
        const exit = await jail.exited
        await sleep(20)
        over[name].push(reached(text()) - LIMIT)
        reasons[name] =
          exit.terminationReason === 'memory' ? 'ended' : (text().match(/^E[A-Z]+/m)?.[0] ?? exit.terminationReason)
      }
    }
    for (const [name, values] of Object.entries(over))
      rows.push({
        'limits held by': backend,
        name,
        n: values.length,
        how: reasons[name],
        'p50 MiB over': +(quantile(values, 0.5) / MB).toFixed(1),
        'max MiB over': +(Math.max(...values) / MB).toFixed(1)
      })
  }
  return rows
}

async function launch() {
  const once = (resources) => async () => {
    const took = clock()
    const jail = await spawnSandboxed({ resources, tolerate: ['memoryLimit'] }, ['/bin/true'], { stdio: 'ignore' })
    await jail.exited
    return took()
  }
  const ways = { 'no memory limit': once({}) }
  for (const [backend, choice] of Object.entries(backends)) ways[backend] = once({ maxMemory: LIMIT, cgroup: choice })
  return table(await interleave(ways, rounds * 5), 'no memory limit')
}

/** Over `seconds`, of a jail that holds still. */
async function usage(words, resources, said) {
  const { jail, text, monitor } = await start([...words, '--hold', '--seconds', '600'], resources, files)
  await until(() => text().includes(said), said)
  await sleep(1000)
  const [before, took] = [usageOf(monitor), clock()]
  await sleep(Number(flags.seconds) * 1000)
  const [after, ms] = [usageOf(monitor), took()]
  jail.kill('SIGKILL')
  await jail.exited
  const [cpu, looks] = [after.cpu - before.cpu, after.sleeps - before.sleeps]
  return {
    '% of a core': +((cpu / 1e6 / ms) * 100).toFixed(3),
    'looks a second': +((looks / ms) * 1000).toFixed(1),
    'µs a look': looks ? +(cpu / 1e3 / looks).toFixed(0) : 0
  }
}

async function watchdog() {
  const rows = []
  for (const [held, limit] of [
    [100, 110],
    [100, 128],
    [100, 1024],
    [256, 270],
    [256, 320],
    [256, 2048]
  ]) {
    const found = await usage(
      ['shared', `${held}M`],
      limited({ cgroup: 'off', maxMemory: limit * MB }),
      `OK ${held * MB}`
    )
    rows.push({ held: `${held} MiB`, limit: `${limit} MiB`, ...found })
  }
  return rows
}

async function look() {
  const rows = []
  for (const count of [1, 10, 100]) {
    const resources = limited({ cgroup: 'off', maxMemory: 1024 * MB })
    rows.push({ processes: count + 1, ...(await usage(['processes', String(count)], resources, `OK ${count}`)) })
  }
  return rows
}

async function crowds() {
  const calls = Number(flags.calls)
  const rows = []
  if (cgroup) {
    const hogs = { maxCpu: 0.1, cpuWeight: 10 }
    rows.push({ name: 'cgroup, hogs with maxCpu 0.1', ...(await crowd({ calls, hogs, served: { cpuWeight: 1000 } })) })
    const light = { cpuWeight: 1 }
    rows.push({
      name: 'cgroup, hogs with cpuWeight 1',
      ...(await crowd({ calls, hogs: light, served: { cpuWeight: 10000 } }))
    })
  }
  rows.push({ name: 'watchdog', ...(await crowd({ calls, hogs: { cgroup: 'off' } })) })
  const prefix = ['/usr/bin/nice', '-n', '19', HOG]
  rows.push({ name: 'watchdog, hogs by nice -n 19', ...(await crowd({ calls, hogs: { cgroup: 'off' }, prefix })) })
  return rows
}

const measures = {
  overshoot: [`memory above a limit of ${LIMIT / MB} MiB`, overshoot],
  launch: ['launch and end of /bin/true', launch],
  watchdog: ['the watchdog’s own use, by what is held and the limit', watchdog],
  look: ['the watchdog’s look, by processes', look],
  crowd: ['MCP requests beside ten jails at their limits', crowds]
}

const report = { machine: machine(), rounds }
for (const name of only) {
  const [title, measure] = measures[name]
  report[title] = await measure()
}
if (flags.json) console.log(JSON.stringify(report, null, 2))
else {
  const { cpu, cores, kernel, node } = report.machine
  console.log(`${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}; ${rounds} rounds\n`)
  for (const [title, rows] of Object.entries(report))
    if (Array.isArray(rows)) console.log(`${title}:\n\n${markdown(rows)}\n`)
}
