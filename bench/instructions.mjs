// The instructions of a launch in user mode, stepped through (native/test/tools/instructions.cc): by the command line tool from a
// kept plan, and by the API from qi-monitor on. Those of Node.js and of the payload after its exec are not counted.
// node bench/instructions.mjs [--rounds N] [--json]
import { spawnSync } from 'node:child_process'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { at, flagsOf, machine, markdown, quantile } from './lib.mjs'

const PAYLOAD = '/bin/true'
const ONE_LAUNCH = `
  import { spawnSandboxed } from ${JSON.stringify(at('dist/index.js'))}
  const jail = await spawnSandboxed({}, ['${PAYLOAD}'], { stdio: 'ignore', env: process.env })
  process.exitCode = (await jail.exited).code`

/** Of those that are counted: the program, the numbers of its process and of its parent's, its instructions. */
function programsOf(command, env, ...flags) {
  const argv = [...flags, '--except', basename(PAYLOAD), '--seconds', '300', '--', ...command]
  const { status, stdout, stderr, error } = spawnSync(at('build/Release/test-tools/instructions'), argv, {
    encoding: 'utf8',
    env
  })
  if (status !== 0)
    throw new Error(`${command.join(' ')}, stepped: ${error?.message ?? `${stderr} (status ${status})`}`)
  return JSON.parse(stdout).programs
}

/** By what each does. pid 1 is who starts the payload; the keeper starts nothing. */
export function rolesOf(programs) {
  const [monitor, ...others] = programs.filter(({ program }) => program === 'qi-monitor')
  const payload = others.find(({ parent }) => parent !== monitor?.process)
  if (!payload) throw new Error('not a launch from a kept plan')
  const roleOf = (one) => {
    if (one.program === 'qi-jail') return 'script'
    if (one === monitor) return 'qi-monitor'
    if (one === payload) return 'payload, until its exec'
    return one.process === payload.parent ? 'pid 1' : 'keeper'
  }
  const roles = {}
  for (const one of programs) {
    const role = roleOf(one)
    roles[role] = (roles[role] ?? 0) + one.instructions
  }
  return roles
}

/** What is ours whoever asks for the launch: the script that finds qi-monitor is a figure of its own, half of it the shell's start. */
export const launchOf = ({ script, ...roles }) => Object.values(roles).reduce((sum, count) => sum + count)

export function cliInstructions(env) {
  const command = [at('bin/qi-jail'), '--', PAYLOAD]
  spawnSync(command[0], command.slice(1), { env }) // from now on there is a kept plan
  return rolesOf(programsOf(command, env, '--except', 'node')) // who resolves where there is none, by many more instructions
}

export const apiInstructions = (env) =>
  rolesOf(programsOf([process.execPath, '--input-type=module', '-e', ONE_LAUNCH], env, '--from', 'qi-monitor'))

const spread = (way, what, counts) => {
  const [min, max] = [Math.min(...counts), Math.max(...counts)]
  const rows = {
    n: counts.length,
    min,
    p50: quantile(counts, 0.5),
    max,
    'max above min, %': +((max / min - 1) * 100).toFixed(2)
  }
  return { way, what, ...rows }
}

function main() {
  const flags = flagsOf(import.meta.url, {
    rounds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false }
  })
  const env = { PATH: process.env.PATH, HOME: process.env.HOME ?? '/' }
  const ways = { CLI: cliInstructions, API: apiInstructions }
  const rounds = Array.from({ length: Number(flags.rounds) }, () =>
    Object.fromEntries(Object.entries(ways).map(([way, count]) => [way, count(env)]))
  )
  const rows = Object.keys(ways).flatMap((way) => {
    const whats = [...new Set(rounds.flatMap((round) => Object.keys(round[way])))]
    const parts = whats.map((what) =>
      spread(
        way,
        what,
        rounds.map((round) => round[way][what] ?? 0)
      )
    )
    return [
      ...parts,
      spread(
        way,
        'launch: all but the script',
        rounds.map((round) => launchOf(round[way]))
      )
    ]
  })
  console.log(flags.json ? JSON.stringify({ machine: machine(), rounds }, null, 2) : markdown(rows))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main()
