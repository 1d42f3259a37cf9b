// spawn -> exit of /bin/true, and spawn -> first MCP response: bare, the floor program, bubblewrap with the same namespaces,
// and qi-jail by API and CLI with every layer on: from a kept plan (warm), and without any (cold: Node.js, which is beside it).
// node bench/launch.mjs [--rounds N] [--only true,mcp,steps] [--api] [--json]
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { prepare, STEPS, spawnSandboxed } from '../dist/index.js'
import { bubblewrap } from './bubblewrap.mjs'
import { at, clock, flagsOf, HELLO, interleave, machine, quantile, table } from './lib.mjs'

const flags = flagsOf(import.meta.url, {
  rounds: { type: 'string', default: '100' },
  json: { type: 'boolean', default: false },
  only: { type: 'string', default: 'true,mcp,steps' },
  api: { type: 'boolean', default: false }
})
const rounds = Number(flags.rounds)
const shown = (part) => flags.only.split(',').includes(part)
const floor = at('build/Release/test-tools/floor')
const cli = at('bin/qi-jail')
const program = at('build/Release/qi-jail')
const server = at('node_modules/@modelcontextprotocol/server-everything/dist/index.js')

const POOL = 1
const clean = { PATH: process.env.PATH, HOME: process.env.HOME ?? '/' }

const exitOf = (command, args) => () =>
  new Promise((resolve, reject) => {
    const took = clock()
    const child = spawn(command, args, { stdio: 'ignore', env: clean })
    child.on('error', reject)
    child.on('exit', (code) =>
      code === 0 ? resolve(took()) : reject(new Error(`${command} ${args.join(' ')}: exit ${code}`))
    )
  })

const jailed = async () => {
  const took = clock()
  const jail = await spawnSandboxed({}, ['/bin/true'], { stdio: 'ignore', env: clean })
  const { code } = await jail.exited
  if (code !== 0) throw new Error(`jailed: exit ${code}`)
  return took()
}

/** A jail that waited, and its end. The next one is built before anybody else is measured. */
async function pooled() {
  const took = clock()
  const asked = pool.spawn() // lets go of a jail before it returns, and resolves when qi-monitor says that the payload runs
  handOuts['until it is let go'].push(took())
  const jail = await asked
  handOuts['until the payload runs'].push(took())
  const { code } = await jail.exited
  if (code !== 0) throw new Error(`pooled: exit ${code}`)
  const ms = took()
  while (pool.ready < POOL) await sleep(1)
  return ms
}

const firstLine = (stdin, stdout) =>
  new Promise((resolve, reject) => {
    stdout.once('data', resolve)
    stdout.once('end', () => reject(new Error('the server ended without an answer')))
    stdin.write(HELLO)
  })

const answerOf = (command, args) => async () => {
  const took = clock()
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'], env: clean })
  await firstLine(child.stdin, child.stdout)
  const ms = took()
  const gone = new Promise((resolve) => child.on('exit', resolve))
  child.kill('SIGKILL')
  await gone
  return ms
}

const jailedAnswer = async () => {
  const took = clock()
  const jail = await spawnSandboxed({}, [process.execPath, server], { stdio: ['pipe', 'pipe', 'ignore'], env: clean })
  await firstLine(jail.stdin, jail.stdout)
  const ms = took()
  jail.kill('SIGKILL')
  await jail.exited
  return ms
}

async function steps(n) {
  const spent = new Map()
  for (let i = 0; i < n; i++) {
    const jail = await spawnSandboxed({}, ['/bin/true'], { stdio: 'ignore', env: clean, traceSteps: true })
    await jail.exited
    const began = Object.entries(jail.trace).sort((a, b) => a[1] - b[1])
    began.slice(0, -1).forEach(([step, ns], k) => {
      spent.set(step, [...(spent.get(step) ?? []), (began[k + 1][1] - ns) / 1000])
    })
  }
  return [...spent].map(([step, us]) => ({
    step,
    name: STEPS[step]?.name,
    who: STEPS[step]?.who,
    'p50 µs until the next': +quantile(us, 0.5).toFixed(1)
  }))
}

const have = {
  bubblewrap: ['/usr/bin/bwrap', '/bin/bwrap'].some((path) => existsSync(path)),
  floor: existsSync(floor),
  cli: existsSync(cli) && !flags.api
}
const report = { machine: machine(), rounds, missing: Object.keys(have).filter((name) => !have[name]) }
const pool = await prepare({}, ['/bin/true'], { stdio: 'ignore', env: clean, pool: POOL })
const handOuts = { 'until it is let go': [], 'until the payload runs': [] }
if (shown('true')) {
  report['spawn to exit of /bin/true'] = table(
    await interleave(
      {
        bare: exitOf('/bin/true', []),
        ...(have.floor ? { floor: exitOf(floor, ['/bin/true']) } : {}),
        ...(have.bubblewrap ? { bubblewrap: exitOf('bwrap', [...bubblewrap(), '/bin/true']) } : {}),
        'qi-jail API': jailed,
        'qi-jail API, pooled': pooled,
        ...(have.cli
          ? {
              'qi-jail CLI warm': exitOf(cli, ['--', '/bin/true']),
              'qi-jail program warm': exitOf(program, ['--', '/bin/true']),
              'qi-jail CLI cold': exitOf(cli, ['--no-cache', '--', '/bin/true'])
            }
          : {}),
        'node -e 0': exitOf(process.execPath, ['-e', '0'])
      },
      rounds
    ),
    have.bubblewrap ? 'bubblewrap' : 'bare'
  )
}
await pool.close()
if (shown('true')) report['spawn() of a launcher with a pool'] = table(handOuts, 'until the payload runs')
if (shown('mcp')) {
  const bwrapServer = [...bubblewrap(at('.')), process.execPath, server]
  report['spawn to first MCP response'] = table(
    await interleave(
      {
        bare: answerOf(process.execPath, [server]),
        ...(have.bubblewrap ? { bubblewrap: answerOf('bwrap', bwrapServer) } : {}),
        'qi-jail API': jailedAnswer,
        ...(have.cli ? { 'qi-jail CLI warm': answerOf(cli, ['--', process.execPath, server]) } : {})
      },
      Math.max(5, Math.floor(rounds / 5)),
      1
    ),
    'bare'
  )
}
if (shown('steps')) report['time per numbered step'] = await steps(Math.max(10, Math.floor(rounds / 2)))

if (flags.json) console.log(JSON.stringify(report, null, 2))
else {
  console.log(report.machine)
  for (const name of report.missing) console.log(`left out, not here: ${name}`)
  for (const [title, rows] of Object.entries(report)) {
    if (!Array.isArray(rows) || title === 'missing') continue
    console.log(`\n${title}`)
    console.table(rows)
  }
}
