// Run by run.mjs in the test world's host namespace; argv[2]: the world's folder.
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { at, machine, markdown, quantile } from '../lib.mjs'
import { contendersIn, STAGE, versionOf } from './contenders.mjs'
import { OPTIONS } from './options.mjs'
import { SCENARIOS } from './scenarios.mjs'
import { write } from './write.mjs'

const WARMUP = 2

/** The host's root where engines can take it: whole, and without what is mounted on it (nspawn makes its own /dev). */
function makeRoots(folder) {
  const roots = { whole: `${folder}/whole`, plain: `${folder}/plain` }
  for (const root of Object.values(roots)) mkdirSync(root)
  // crun refuses a unified hierarchy beside v1 ones; this mount namespace is the world's.
  spawnSync('umount', ['/sys/fs/cgroup/unified'])
  for (const words of [
    ['--bind', at('.'), STAGE],
    ['--rbind', '/', roots.whole],
    ['--bind', '/', roots.plain]
  ]) {
    const made = spawnSync('mount', words, { encoding: 'utf8' })
    if (made.status !== 0) throw new Error(`mount ${words.join(' ')}: ${made.stderr}`)
  }
  return roots
}

/** Every contender once a round, in turn; one that fails is out of this scenario, with its error. */
async function measure({ run, share, hosts, notFloor, calls, settle = 0 }, contenders, rounds) {
  const samples = {}
  const failed = {}
  for (const [name, contender] of Object.entries(contenders)) {
    const isOut = (hosts && !contender.hosts) || (notFloor && contender.onlyUsr) || (!calls && contender.onlyCalls)
    if (!isOut) samples[name] = []
  }
  for (let round = -WARMUP; round < Math.max(3, Math.round(rounds * share)); round++) {
    for (const name of Object.keys(samples)) {
      try {
        if (settle > 0) await sleep(settle)
        const value = await run(contenders[name])
        if (round >= 0) samples[name].push(value)
      } catch (error) {
        delete samples[name]
        failed[name] = error.message
      }
    }
  }
  return { samples, failed }
}

function rowsOf(samples, unit) {
  const [bare, peer] = ['bare', 'bubblewrap'].map((name) => samples[name] && quantile(samples[name], 0.5))
  return Object.entries(samples).map(([name, values]) => {
    const p50 = quantile(values, 0.5)
    return {
      name,
      n: values.length,
      [`min ${unit}`]: +Math.min(...values).toFixed(2),
      [`p50 ${unit}`]: +p50.toFixed(2),
      [`p95 ${unit}`]: +quantile(values, 0.95).toFixed(2),
      '× bare': bare ? +(p50 / bare).toFixed(2) : '',
      '× bubblewrap': peer ? +(p50 / peer).toFixed(2) : ''
    }
  })
}

const folder = `${process.argv[2]}/peers`
const { values: flags } = parseArgs({ args: process.argv.slice(3), options: OPTIONS })
mkdirSync(folder)
const all = contendersIn(folder, makeRoots(folder))
const versions = Object.fromEntries(Object.entries(all).map(([name, one]) => [name, versionOf(one)]))
const contenders = Object.fromEntries(Object.entries(all).filter(([name]) => !versions[name].missing))
const report = { machine: machine(), versions, scenarios: {} }
for (const name of flags.only.split(',')) {
  const scenario = SCENARIOS[name]
  if (!scenario) throw new Error(`--only ${name}: known are ${Object.keys(SCENARIOS).join(', ')}`)
  const { samples, failed } = await measure(scenario, contenders, Number(flags.rounds))
  const { title, unit } = scenario
  report.scenarios[name] = { title, unit, rows: rowsOf(samples, unit), failed }
  if (flags.json) continue
  console.log(`\n${title}\n\n${markdown(report.scenarios[name].rows)}`)
  for (const [who, why] of Object.entries(failed)) console.log(`cannot run here: ${who}: ${why}`)
}
if (flags.json) console.log(JSON.stringify(report, null, 2))
if (flags.write) write(report)
spawnSync('umount', ['--recursive', '--lazy', `${folder}/whole`])
spawnSync('umount', ['--lazy', `${folder}/plain`])
