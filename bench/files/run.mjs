// What it costs that acts on files are observed (audit.files: off, denied, all) or decided (filesystem.mediate), in turn:
// one open+close in a loop, a start of node, the first answer of an MCP server.
// node bench/files/run.mjs [--rounds N] [--opens N] [--only open,node,mcp] [--json]
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { spawnSandboxed } from '../../dist/index.js'
import { clock, interleave, machine, markdown, quantile, table } from '../lib.mjs'

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    opens: { type: 'string', default: '4000' },
    only: { type: 'string', default: 'open,node,mcp' },
    json: { type: 'boolean', default: false }
  }
})
const rounds = Number(flags.rounds)
const only = flags.only.split(',')
const CHOICES = ['off', 'denied', 'all', 'mediate']

const granted = mkdtempSync('/var/tmp/qi-bench-')
const hidden = mkdtempSync('/var/tmp/qi-bench-')
for (const folder of [granted, hidden]) writeFileSync(`${folder}/file`, 'content\n')

const how = (choice) =>
  choice === 'mediate'
    ? { filesystem: { readOnlyPaths: [granted], deniedPaths: ['**/.env', '**/*.pem'], mediate: true } }
    : { filesystem: { readOnlyPaths: [granted] }, audit: { files: choice } }

const launch = (choice, argv, stdio = ['ignore', 'pipe', 'inherit']) =>
  spawnSandboxed(how(choice), argv, { stdio, cwd: granted })

const LOOP = `
const { openSync, closeSync } = require('node:fs')
const [path, count] = [process.argv[1], Number(process.argv[2])]
const took = []
for (let i = 0; i < count; i++) {
  const began = process.hrtime.bigint()
  try { closeSync(openSync(path)) } catch {}
  took.push(Number(process.hrtime.bigint() - began) / 1000)
}
took.sort((a, b) => a - b)
console.log(JSON.stringify({ p50: took[count >> 1], p95: took[Math.floor(count * 0.95)] }))`

/** Microseconds of one open and close, of a file that may be read and of one that is not granted. */
async function opens() {
  const rows = []
  for (const [what, path] of Object.entries({ 'may be read': `${granted}/file`, 'not granted': `${hidden}/file` })) {
    const of = Object.fromEntries(CHOICES.map((choice) => [choice, { p50: [], p95: [] }]))
    for (let round = 0; round < rounds; round++) {
      for (const choice of CHOICES) {
        const jail = await launch(choice, [process.execPath, '-e', LOOP, path, flags.opens])
        const [line] = await once(createInterface({ input: jail.stdout }), 'line')
        await jail.exited
        const { p50, p95 } = JSON.parse(line)
        of[choice].p50.push(p50)
        of[choice].p95.push(p95)
      }
    }
    for (const choice of CHOICES) {
      const { p50, p95 } = of[choice]
      rows.push({
        'a file that': what,
        how: choice,
        'p50 µs': +quantile(p50, 0.5).toFixed(1),
        'p95 µs': +quantile(p95, 0.5).toFixed(1)
      })
    }
  }
  return rows
}

const candidates = (run) => Object.fromEntries(CHOICES.map((choice) => [choice, () => run(choice)]))

async function nodeStart(choice) {
  const took = clock()
  const jail = await launch(choice, [process.execPath, '-e', '0'])
  jail.stdout.resume()
  await jail.exited
  return took()
}

const server = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-memory/dist/index.js')
const HELLO = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'bench', version: '0' } }
}

async function firstAnswer(choice) {
  const took = clock()
  const jail = await launch(choice, [process.execPath, server], ['pipe', 'pipe', 'ignore'])
  jail.stdin.write(`${JSON.stringify(HELLO)}\n`)
  await once(createInterface({ input: jail.stdout }), 'line')
  const ms = took()
  jail.kill('SIGKILL')
  await jail.exited
  return ms
}

const parts = {
  open: ['open and close in a loop', opens],
  node: ['node -e 0, from call to end', async () => table(await interleave(candidates(nodeStart), rounds), 'off')],
  mcp: ['first answer of server-memory', async () => table(await interleave(candidates(firstAnswer), rounds), 'off')]
}

const told = { machine: machine(), rounds }
try {
  for (const name of only) {
    const [title, run] = parts[name]
    told[name] = await run()
    if (!flags.json) console.log(`\n### ${title}\n\n${markdown(told[name])}`)
  }
} finally {
  for (const folder of [granted, hidden]) rmSync(folder, { recursive: true })
}
if (flags.json) console.log(JSON.stringify(told, null, 2))
else console.log(`\n${JSON.stringify(told.machine)}, ${rounds} rounds`)
