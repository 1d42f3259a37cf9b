// Interleaved rounds: every candidate once per round, in turn, so that a machine that speeds up or slows down does so for
// all of them. Ratios are of the medians of one run.
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/** A path of the checkout. */
export const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

/** What an MCP client says first. */
export const HELLO = `${JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'bench', version: '0' } }
})}\n`

/** The flags of a benchmark; `--help` prints what the comment at the top of its file says. */
export function flagsOf(url, options) {
  const { values } = parseArgs({ options: { ...options, help: { type: 'boolean', short: 'h', default: false } } })
  if (!values.help) return values
  const lines = readFileSync(new URL(url), 'utf8').split('\n')
  const top = lines.slice(
    0,
    lines.findIndex((line) => !line.startsWith('//'))
  )
  console.log(top.map((line) => line.replace(/^\/\/ ?/, '')).join('\n'))
  process.exit()
}

export async function interleave(candidates, rounds, warmup = 3) {
  const samples = Object.fromEntries(Object.keys(candidates).map((name) => [name, []]))
  for (let round = -warmup; round < rounds; round++) {
    for (const [name, run] of Object.entries(candidates)) {
      const ms = await run()
      if (round >= 0) samples[name].push(ms)
    }
  }
  return samples
}

export const quantile = (values, q) => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]
}

/** The median of each round's own ratio: a machine that slows down for a while does so for both. */
export const pairedRatio = (values, base) =>
  quantile(
    values.map((value, round) => value / base[round]),
    0.5
  )

export const clock = () => {
  const began = process.hrtime.bigint()
  return () => Number(process.hrtime.bigint() - began) / 1e6
}

export const machine = () => ({
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  kernel: release(),
  node: process.version,
  uid: process.getuid?.(),
  load: readFileSync('/proc/loadavg', 'utf8').split(' ')[0]
})

/** In a document. */
export function whereOf({ machine: { cpu, cores, kernel, node, uid, load } }) {
  const who = uid === 0 ? 'as root' : 'as a plain user'
  return `${cores} × ${cpu}, Linux ${kernel}, Node ${node}, ${who}, load ${load} before, ${new Date().toISOString().slice(0, 10)}.`
}

export function table(samples, baseline) {
  const base = baseline && quantile(samples[baseline], 0.5)
  return Object.entries(samples).map(([name, values]) => ({
    name,
    n: values.length,
    'min ms': +Math.min(...values).toFixed(2),
    'p50 ms': +quantile(values, 0.5).toFixed(2),
    'p95 ms': +quantile(values, 0.95).toFixed(2),
    ...(base ? { [`ratio to ${baseline}`]: +(quantile(values, 0.5) / base).toFixed(2) } : {})
  }))
}

export function markdown(rows) {
  const names = Object.keys(rows[0])
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(names), line(names.map(() => '---')), ...rows.map((row) => line(Object.values(row)))].join('\n')
}

/** What stands between the two comments of that mark in a document. */
export function replaceBetween(file, mark, text) {
  const before = readFileSync(at(file), 'utf8')
  const marks = new RegExp(`(<!-- ${mark} -->\n)[\\s\\S]*(<!-- /${mark} -->)`)
  if (!marks.test(before)) throw new Error(`${file} has no <!-- ${mark} -->`)
  writeFileSync(
    at(file),
    before.replace(marks, (_, begin, end) => `${begin}${text}\n${end}`)
  )
}
