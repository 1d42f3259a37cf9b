// Whether launches or system calls cost more than they did: ratios of this machine's medians, and counts, against
// bench/baseline.json. Repeated; what the machine did in one repeat is not held against us (regression.mjs). Exits with 1 when a
// row is worse, or was not measured.
// node bench/check.mjs [--rounds N] [--repeats N] [--json] [--write: these are the baseline from now on]
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { apiInstructions, cliInstructions, launchOf } from './instructions.mjs'
import { at, flagsOf, machine, markdown } from './lib.mjs'
import { isGood, verdicts } from './regression.mjs'
import { launchSyscalls } from './syscalls.mjs'

const flags = flagsOf(import.meta.url, {
  rounds: { type: 'string', default: '40' },
  repeats: { type: 'string', default: '3' },
  json: { type: 'boolean', default: false },
  write: { type: 'boolean', default: false }
})
const BASELINE = at('bench/baseline.json')
const env = { PATH: process.env.PATH, HOME: process.env.HOME ?? '/' }

const told = (script, ...words) =>
  JSON.parse(execFileSync(process.execPath, [at(script), ...words, '--json'], { env, maxBuffer: 2 ** 24 }))

const START = 'spawn to exit of /bin/true'
const MCP = 'spawn to first MCP response'
const ratio = (rows, name, to) => {
  const [value, base] = [name, to].map((one) => rows.find((row) => row.name === one)?.['p50 ms'])
  return value / base
}
const call = (steady, name) => steady.calls.find((row) => row.call === name)?.ratio

/** Row: how far above the baseline it may be, and where its figure is. */
const ROWS = {
  'API, /bin/true, × bubblewrap': [0.15, ({ launch }) => ratio(launch[START], 'qi-jail API', 'bubblewrap')],
  'API, /bin/true, × floor': [0.15, ({ launch }) => ratio(launch[START], 'qi-jail API', 'floor')],
  'API pooled, /bin/true, × bubblewrap': [
    0.25,
    ({ launch }) => ratio(launch[START], 'qi-jail API, pooled', 'bubblewrap')
  ],
  'CLI warm, /bin/true, × bubblewrap': [0.15, ({ launch }) => ratio(launch[START], 'qi-jail CLI warm', 'bubblewrap')],
  'CLI cold, /bin/true, × bare node -e 0': [0.1, ({ launch }) => ratio(launch[START], 'qi-jail CLI cold', 'node -e 0')],
  'first MCP response, API, × bare': [0.1, ({ launch }) => ratio(launch[MCP], 'qi-jail API', 'bare')],
  'first MCP response, CLI warm, × bare': [0.1, ({ launch }) => ratio(launch[MCP], 'qi-jail CLI warm', 'bare')],
  'getpid, × bare': [0.08, ({ steady }) => call(steady, 'getpid')],
  'read, × bare': [0.08, ({ steady }) => call(steady, 'read')],
  'openat, × bare': [0.08, ({ steady }) => call(steady, 'openat')],
  'epoll_wait, × bare': [0.08, ({ steady }) => call(steady, 'epoll')],
  'memory of an idle jail, kB': [0.1, ({ steady }) => steady.idle[0]['PSS kB']],
  'system calls of a launch': [0.02, ({ calls }) => calls],
  'instructions of a launch, CLI warm': [0.01, ({ steps }) => steps && launchOf(steps.cli)],
  'instructions of a launch, API': [0.01, ({ steps }) => steps && launchOf(steps.api)],
  'instructions of the script before it': [0.01, ({ steps }) => steps?.cli.script]
}

const repeats = Object.fromEntries(Object.keys(ROWS).map((row) => [row, []]))
for (let i = 0; i < Number(flags.repeats); i++) {
  const all = {
    launch: told('bench/launch.mjs', '--only', 'true,mcp', '--rounds', flags.rounds),
    steady: told('bench/steady.mjs', '--only', 'calls,idle', '--seconds', '1', '--rounds', '5'),
    calls: launchSyscalls(env),
    // Once: half a minute, in which nothing is left to chance.
    ...(i === 0 ? { steps: { cli: cliInstructions(env), api: apiInstructions(env) } } : {})
  }
  for (const [row, [, value]] of Object.entries(ROWS)) {
    const figure = value(all)
    if (figure !== undefined) repeats[row].push(figure)
  }
}
if (flags.write) {
  // The best repeat: what else runs only ever adds.
  const rows = Object.entries(ROWS).map(([row, [tolerance]]) => {
    return [row, { value: +Math.min(...repeats[row]).toFixed(3), tolerance }]
  })
  writeFileSync(BASELINE, `${JSON.stringify({ machine: machine(), rows: Object.fromEntries(rows) }, null, 2)}\n`)
}
const found = verdicts(JSON.parse(readFileSync(BASELINE, 'utf8')).rows, repeats)
const shown = (value) => (value === undefined ? '' : +value.toFixed(3))
console.log(
  flags.json
    ? JSON.stringify({ machine: machine(), repeats, found }, null, 2)
    : markdown(
        found.map(({ row, baseline, tolerance, median, best, verdict }) => {
          const limits = { baseline: shown(baseline), tolerance: shown(tolerance) }
          return { row, ...limits, median: shown(median), best: shown(best), verdict }
        })
      )
)
process.exitCode = found.every(isGood) ? 0 : 1
