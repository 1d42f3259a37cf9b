// What a jail costs once it runs: system calls and files inside and outside, in turn, and what qi-monitor takes while
// nothing happens. The network's throughput is bench/network.
// node bench/steady.mjs [--rounds N] [--only calls,files,idle] [--seconds N: of watching idle jails] [--json]
//   [--write: into docs/benchmarks.md]
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { spawnSandboxed } from '../dist/index.js'
import { at, flagsOf, interleave, machine, markdown, pairedRatio, quantile, replaceBetween, whereOf } from './lib.mjs'
import { helpers, idling, pss, sumOf } from './processes.mjs'

const flags = flagsOf(import.meta.url, {
  rounds: { type: 'string', default: '15' },
  only: { type: 'string', default: 'calls,files,idle' },
  seconds: { type: 'string', default: '10' },
  json: { type: 'boolean', default: false },
  write: { type: 'boolean', default: false }
})
const CALLS = at('build/Release/test-tools/calls')
/** How often each is called in a round. */
const COUNTS = { getpid: 1_000_000, read: 1_000_000, openat: 100_000, epoll: 500_000 }
const FILE_BYTES = 2 ** 30
const WATCHED_S = Number(flags.seconds)
const SETTLE_S = 2 * WATCHED_S // the looks at the process limit of a jail without a cgroup grow rare only by and by

const folder = mkdtempSync('/var/tmp/qi-steady-')
const options = { env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' }, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] }
const jailed = (argv, network = {}) =>
  spawnSandboxed({ filesystem: { readOnlyPaths: [CALLS], allowedPaths: [folder] }, network }, argv, options)

const bare = (argv) => {
  const child = spawn(argv[0], argv.slice(1), options)
  child.exited = new Promise((resolve, reject) =>
    child.once('error', reject).once('close', (code) => resolve({ code }))
  )
  return child
}

/** All that it says. */
async function output(starting) {
  const child = await starting
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk))
  const ended = Promise.all([child.stdout, child.stderr].map((stream) => new Promise((end) => stream.once('end', end))))
  const [{ code }] = await Promise.all([child.exited, ended])
  if (code !== 0) throw new Error(`ended with ${code}: ${text}`)
  return text
}

/** One command both ways. `value`: what it measured, out of what it says. */
async function compare(argv, value, unit) {
  const both = {
    bare: async () => value(await output(bare(argv))),
    jail: async () => value(await output(jailed(argv)))
  }
  const { bare: outside, jail: inside } = await interleave(both, Number(flags.rounds), 1)
  return {
    n: outside.length,
    [`bare p50 ${unit}`]: +quantile(outside, 0.5).toFixed(2),
    [`jail p50 ${unit}`]: +quantile(inside, 0.5).toFixed(2),
    ratio: +pairedRatio(inside, outside).toFixed(3)
  }
}

async function calls() {
  const rows = []
  for (const [name, count] of Object.entries(COUNTS))
    rows.push({ call: name, ...(await compare([CALLS, name, String(count)], Number, 'ns')) })
  return rows
}

const seconds = (text) => Number(/copied, ([\d.e-]+) s/.exec(text)[1])

async function files() {
  writeFileSync(`${folder}/large`, '')
  truncateSync(`${folder}/large`, FILE_BYTES)
  const dd = (from, to, bytes) => ['dd', `if=${from}`, `of=${to}`, 'bs=64k', `count=${bytes / 65536}`]
  const read = await compare(dd(`${folder}/large`, '/dev/null', FILE_BYTES), seconds, 's')
  const write = await compare(dd('/dev/zero', `${folder}/written`, FILE_BYTES / 4), seconds, 's')
  return [
    { what: 'reading 1 GiB', ...read },
    { what: 'writing 256 MiB', ...write }
  ]
}

async function idle() {
  const rows = []
  for (const [name, network] of Object.entries({
    'no network': {},
    'allow-list': { allowedHosts: ['api.example.test'] }
  })) {
    const jail = await jailed(['sleep', '1000'], network)
    await sleep(SETTLE_S * 1000)
    const ours = helpers(process.pid, /^sleep 1000$/)
    const { backend } = await jail.stats()
    rows.push({
      jail: name,
      'limits held by': backend,
      processes: ours.length,
      ...(await idling(ours, WATCHED_S)),
      'PSS kB': +(sumOf(ours, pss) / 1e3).toFixed(0)
    })
    jail.kill('SIGKILL')
    await jail.exited
  }
  return rows
}

const measures = { calls, files, idle }
const report = { machine: machine() }
try {
  for (const name of flags.only.split(',')) {
    if (!measures[name]) throw new Error(`--only ${name}: known are ${Object.keys(measures).join(', ')}`)
    report[name] = await measures[name]()
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
const tables = flags.only.split(',').map((name) => markdown(report[name]))
const text = [whereOf(report), ...tables].join('\n\n')
console.log(flags.json ? JSON.stringify(report, null, 2) : text)
if (flags.write) replaceBetween('docs/benchmarks.md', 'steady', text)
