// Runs in the guest, as root: what a jail of profile strict comes to here, for root and for the plain user, and which
// control groups there are. Prints JSON, one line. With `protections` or `delegated` it tells that alone, for its caller.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { release } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'

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

/** The names of the states; those that strict would rather not run without are `refused`, found one after another. */
async function protections() {
  const { spawnSandboxed } = await import('../../dist/index.js')
  const resources = { maxMemory: '512MiB', maxExecutionTime: 60_000, maxCpu: 0.5 }
  const strict = parse(readFileSync(new URL('../../profiles/strict.yaml', import.meta.url), 'utf8'))
  const refused = new Map()
  for (;;) {
    try {
      const tolerate = [...strict.tolerate, ...refused.keys()]
      const jail = await spawnSandboxed({ resources, tolerate }, ['/bin/true'])
      const { exitCode } = await jail.exited
      const found = jail.protections.map(({ name, state, reason }) =>
        refused.has(name) ? { name, state: 'refused', reason: refused.get(name) } : { name, state, reason }
      )
      return { exitCode, protections: found }
    } catch (error) {
      const name = error.code === 'QI_LIMIT_UNSUPPORTED' ? 'cpuLimit' : error.value
      if (!['QI_PROTECTION', 'QI_LIMIT_UNSUPPORTED'].includes(error.code) || refused.has(name))
        return { error: { code: error.code, step: error.stepName, errno: error.errno, message: error.message } }
      refused.set(name, error.message)
    }
  }
}

/** As the plain user, who can only be another process. */
function plain() {
  const become = ['--reuid=tester', '--regid=tester', '--init-groups', '--inh-caps=-all', '--']
  const run = spawnSync('setpriv', [...become, process.execPath, fileURLToPath(import.meta.url), 'protections'], {
    encoding: 'utf8',
    env: { ...process.env, HOME: '/home/tester', USER: 'tester' }
  })
  if (run.status !== 0) throw new Error(`as tester: ${run.stderr}`)
  return JSON.parse(run.stdout)
}

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
function delegated() {
  const own = GROUPS + readFileSync('/proc/self/cgroup', 'utf8').trim().split(':')[2]
  mkdirSync(`${own}/leaf`)
  writeFileSync(`${own}/leaf/cgroup.procs`, String(process.pid))
  return groupBelow(own)
}

const tasks = {
  protections,
  delegated,
  all: async () => ({ release: release(), root: await protections(), plain: plain(), groups: groupBelow(GROUPS) })
}
console.log(JSON.stringify(await tasks[process.argv[2] ?? 'all']()))
