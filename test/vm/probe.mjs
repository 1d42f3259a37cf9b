// Runs in the guest: what a jail of profile strict that is asked for every limit comes to here, and which control groups
// there are. Prints JSON, one line.
//   probe.mjs          as root: for root and for the plain user, who is another process
//   probe.mjs session  as the plain user of a login session; its control groups are the ones that systemd delegates
//   probe.mjs mine     for its caller alone; probe.mjs groups: of a scope that it was started in
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const GROUPS = '/sys/fs/cgroup'
// What the limits are made of, and since when: cgroup.kill 5.14, memory.peak 5.19 (6.12: resettable), pids.peak 6.1.
const FILES = [
  'memory.max',
  'memory.high',
  'memory.swap.max',
  'memory.oom.group',
  'memory.peak',
  'memory.reclaim',
  'pids.max',
  'pids.peak',
  'cpu.max',
  'cpu.weight',
  'io.max',
  'cgroup.freeze',
  'cgroup.kill',
  'cgroup.pressure',
  'memory.pressure'
]

const config = {
  resources: {
    maxMemory: '512MiB',
    maxExecutionTime: '1m',
    maxCpu: 0.5,
    maxIo: { path: '/var/tmp', readBytes: '1GiB' }
  }
}

/** What it lacks is tolerated, so that the rest is seen at work; a launch that did not tolerate it must have failed. */
async function mine() {
  const { spawnSandboxed } = await import('../../dist/index.js')
  const { probeHost } = await import('../../dist/host/probe.js')
  const { findings } = await import('../../dist/plan/protections.js')
  const { resolve } = await import('../../dist/profile/index.js')
  const argv = ['/bin/true']
  const given = { config, argv, env: process.env, cwd: process.cwd(), home: process.env.HOME }
  const facts = probeHost()
  const profile = resolve(given, facts)
  const refused = findings(profile, facts).filter((finding) => finding.refused)
  try {
    if (refused.length) await mustFail(spawnSandboxed(config, argv))
    const tolerate = [...profile.tolerate, ...refused.map(({ name }) => name)]
    const jail = await spawnSandboxed({ ...config, tolerate }, argv)
    const exit = await jail.exited
    if (exit.code !== 0) throw new Error(`the payload ended with ${JSON.stringify(exit)}`)
    const lacking = new Set(refused.map(({ name }) => name))
    const told = ({ name, state, reason }) => ({ name, state: lacking.has(name) ? 'refused' : state, reason })
    return { protections: jail.protections.map(told) }
  } catch (error) {
    return { error: { code: error.code ?? 'none', message: error.message } }
  }
}

async function mustFail(launch) {
  const error = await launch.then(
    () => undefined,
    (error) => error
  )
  if (!['QI_PROTECTION', 'QI_LIMIT_UNSUPPORTED'].includes(error?.code))
    throw new Error(`a launch without what it needs ended with ${error ?? 'a jail'}`)
}

/** What `command` prints, as JSON. */
function answer(...command) {
  const { status, stdout, stderr } = spawnSync(command[0], command.slice(1), { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command[0]}: ${stderr}`)
  return JSON.parse(stdout)
}

const again = (what) => [process.execPath, fileURLToPath(import.meta.url), what]
const PLAIN = ['setpriv', '--reuid=tester', '--regid=tester', '--init-groups', '--inh-caps=-all', '--']
const HOME = ['env', 'HOME=/home/tester', 'USER=tester']
const SCOPE = ['systemd-run', '--user', '--scope', '--quiet', '-p', 'Delegate=yes']

const words = (file) => readFileSync(file, 'utf8').split(/\s+/).filter(Boolean)

/** One at a time: a list with a controller that cannot be had fails as a whole. */
function enable(group) {
  return words(`${group}/cgroup.controllers`).filter((controller) => {
    try {
      writeFileSync(`${group}/cgroup.subtree_control`, `+${controller}`)
      return true
    } catch {
      return false
    }
  })
}

/** A group below `parent` with all that can be enabled. */
function groupBelow(parent) {
  const controllers = enable(parent)
  const group = `${parent}/qi-probe`
  mkdirSync(group)
  const present = readdirSync(group)
  rmdirSync(group)
  return { controllers, files: FILES.filter((name) => present.includes(name)) }
}

/** In a scope that the user's systemd delegated: this process moves to a leaf first, since a parent holds no processes. */
function groups() {
  const own = GROUPS + readFileSync('/proc/self/cgroup', 'utf8').trim().split(':')[2]
  mkdirSync(`${own}/leaf`)
  writeFileSync(`${own}/leaf/cgroup.procs`, String(process.pid))
  return groupBelow(own)
}

const tasks = {
  mine,
  groups,
  session: async () => ({ session: await mine(), delegated: answer(...SCOPE, ...again('groups')) }),
  all: async () => ({
    root: await mine(),
    plain: answer(...PLAIN, ...HOME, ...again('mine')),
    groups: groupBelow(GROUPS)
  })
}
console.log(JSON.stringify(await tasks[process.argv[2] ?? 'all']()))
