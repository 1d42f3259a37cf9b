// Run by run.mjs in the test world's host namespace; argv[2]: the world's folder.
import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { request } from 'node:http'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { spawnSandboxed } from '../../dist/index.js'
import { machine, markdown, pairedRatio, quantile } from '../lib.mjs'
import { descendants, pss, sumOf } from '../processes.mjs'
import { OPTIONS } from './options.mjs'

const folder = process.argv[2]
const { values: flags } = parseArgs({ args: process.argv.slice(3), options: OPTIONS })
const rounds = Number(flags.rounds)
const bytes = Number(flags.gigabytes) * 2 ** 30
const only = flags.only.split(',')
const HOST = 'api.example.test'
const HELD = 1000

// Where every jail may read it, whoever owns the checkout.
const programs = `${folder}/bench`
mkdirSync(programs)
for (const name of ['client.py', 'requests.mjs'])
  copyFileSync(fileURLToPath(new URL(name, import.meta.url)), `${programs}/${name}`)
const client = (...words) => ['python3', `${programs}/client.py`, ...words.map(String)]
const env = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/nonexistent' }

const setZone = (records) =>
  new Promise((resolve, reject) => {
    request({ socketPath: `${folder}/control`, path: '/zone', method: 'POST' }, (answer) =>
      answer.resume().on('end', resolve)
    )
      .on('error', reject)
      .end(JSON.stringify(records))
  })

const jailOf = (argv, network) =>
  spawnSandboxed(
    { filesystem: { readOnlyPaths: [programs] }, resources: { maxFileDescriptors: 4096 }, network },
    argv,
    { env, cwd: '/', stdio: ['pipe', 'pipe', 'inherit'] }
  )
const ALLOWED = { allowedHosts: [HOST, 'fresh.example.test'] }
const INSPECTED = { allowedHosts: [{ host: HOST, ports: [80], inspect: 'sni' }] }

/** A running client: its output, and its end. */
function bare(argv) {
  // A session of its own, as the payload has: the scheduler groups by session (sched_autogroup_enabled), and where a client
  // and its server share a group they are put on one processor, which is worth more than anything measured here.
  const child = spawn(argv[0], argv.slice(1), { env, cwd: '/', stdio: ['pipe', 'pipe', 'inherit'], detached: true })
  const exited = new Promise((resolve, reject) =>
    child.once('error', reject).once('close', (code, signal) => resolve({ code, signal }))
  )
  return { stdin: child.stdin, stdout: child.stdout, exited, pid: child.pid }
}

async function output(running) {
  let text = ''
  running.stdout.on('data', (chunk) => (text += chunk))
  const ended = new Promise((resolve) => running.stdout.once('close', resolve))
  running.stdin.end()
  const [{ code, signal }] = await Promise.all([running.exited, ended])
  if (code !== 0) throw new Error(`the client ended with ${signal ?? code}: ${text}`)
  return JSON.parse(text)
}

const proxy = bare([process.execPath, fileURLToPath(new URL('proxy.mjs', import.meta.url)), HOST])
const proxyPort = Number(await new Promise((resolve) => proxy.stdout.once('data', resolve)))

/** Every way once a round, in turn: a machine that speeds up or slows down does so for all of them. */
async function compare(ways) {
  const samples = Object.fromEntries(Object.keys(ways).map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, start] of Object.entries(ways)) samples[name].push(...(await output(await start())))
  }
  return samples
}

const four = (argv) => ({
  direct: () => bare(argv()),
  'qi-jail': () => jailOf(argv(), ALLOWED),
  'qi-jail, inspecting': () => jailOf(argv(), INSPECTED),
  'CONNECT proxy': () => bare(argv(proxyPort))
})

const latencies = (samples) =>
  Object.entries(samples).map(([name, values]) => {
    const [p50, p95] = [quantile(values, 0.5), quantile(values, 0.95)]
    const added = p50 - quantile(samples.direct, 0.5)
    return {
      name,
      n: values.length,
      'p50 µs': +p50.toFixed(1),
      'p95 µs': +p95.toFixed(1),
      'added at p50 µs': +added.toFixed(1)
    }
  })

const rates = (samples, unit, digits) =>
  Object.entries(samples).map(([name, values]) => ({
    name,
    n: values.length,
    [`p50 ${unit}`]: +quantile(values, 0.5).toFixed(digits),
    [`best ${unit}`]: +Math.max(...values).toFixed(digits),
    'ratio to direct': +pairedRatio(values, samples.direct).toFixed(3)
  }))

const perSecond = (samples) =>
  Object.fromEntries(Object.entries(samples).map(([name, all]) => [name, all.map((s) => bytes / s / 2 ** 30)]))

async function resolving() {
  await setZone({ 'fresh.example.test': { ttl: 0, A: ['203.0.113.10'] } })
  const ways = (name) => ({
    direct: () => bare(client('resolve', name, 0, 200)),
    'qi-jail': () => jailOf(client('resolve', name, 0, 200), ALLOWED)
  })
  const [kept, fresh] = [await compare(ways(HOST)), await compare(ways('fresh.example.test'))]
  return latencies({
    direct: kept.direct,
    'qi-jail, known answer': kept['qi-jail'],
    'qi-jail, asked anew': fresh['qi-jail']
  })
}

/** Bytes of `root` (or of what was started for this) and of all below it but the client. */
async function held(start, root, count) {
  const known = new Set(descendants(process.pid))
  const running = await start(count)
  await new Promise((resolve) => running.stdout.once('data', resolve))
  const all = root ? [root, ...descendants(root)] : descendants(process.pid).filter((pid) => !known.has(pid))
  const bytes = sumOf(
    all.filter((pid) => pid !== running.pid),
    pss
  )
  running.stdin.end()
  await running.exited
  return bytes
}

async function memory() {
  const ways = {
    'qi-jail (qi-monitor, gateway, pid 1)': [(n) => jailOf(client('hold', HOST, 80, n), ALLOWED), undefined],
    'CONNECT proxy': [(n) => bare(client('hold', HOST, 80, n, proxyPort)), proxy.pid]
  }
  const rows = []
  for (const [name, [start, root]] of Object.entries(ways)) {
    const [one, many] = [await held(start, root, 1), await held(start, root, HELD)]
    const shown = (bytes) => (Number.isNaN(bytes) ? 'unknown' : `${(bytes / 2 ** 20).toFixed(1)} MiB`)
    const each = Number.isNaN(many - one) ? 'unknown' : Math.round((many - one) / HELD)
    rows.push({ name, 'PSS, 1 open': shown(one), [`PSS, ${HELD} open`]: shown(many), 'bytes a connection': each })
  }
  return rows
}

const measures = {
  connect: [
    'socket() and connect()',
    async () => latencies(await compare(four((p) => client('connect', HOST, 80, 200, ...(p ? [p] : [])))))
  ],
  receive: [
    `receiving ${flags.gigabytes} GiB, GiB/s`,
    async () =>
      rates(perSecond(await compare(four((p) => client('receive', HOST, 80, bytes, ...(p ? [p] : []))))), 'GiB/s', 2)
  ],
  requests: [
    'keep-alive requests a second, Node http',
    async () => {
      const argv = (p) => ['node', `${programs}/requests.mjs`, HOST, '80', '6000', ...(p ? [String(p)] : [])]
      return rates(await compare(four(argv)), 'requests/s', 0)
    }
  ],
  resolve: ['a DNS query', resolving],
  memory: [`memory with ${HELD} open connections`, memory]
}

const report = { machine: machine(), rounds }
for (const name of only) {
  const [title, measure] = measures[name]
  report[title] = await measure()
}
proxy.stdin.end()
process.kill(proxy.pid)
if (flags.json) console.log(JSON.stringify(report, null, 2))
else {
  const { cpu, cores, kernel, node } = report.machine
  console.log(`${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}; ${rounds} rounds, ways in turn\n`)
  for (const [title, rows] of Object.entries(report))
    if (Array.isArray(rows)) console.log(`${title}:\n\n${markdown(rows)}\n`)
}
