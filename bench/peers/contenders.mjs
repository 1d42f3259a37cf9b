// How each sandbox is asked to run a command of the host: `start(argv, stdio, {readable, hosts})` is a running child. What a
// peer needs first (a bundle, a settings file) is made before the clock runs; its users would keep it, too.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { prepare, spawnSandboxed } from '../../dist/index.js'
import { bubblewrap } from '../bubblewrap.mjs'
import { at } from '../lib.mjs'
import { bundleOf } from './bundle.mjs'

/** Where the checkout is mounted while we measure: some peers cover /tmp, /var and /home with folders of their own. */
export const STAGE = '/srv'

const FLOOR = at('build/Release/test-tools/floor')
const SRT = at('.cache/peers/node_modules/.bin/srt')
const CLI = at('bin/qi-jail')
const PROGRAM = at('build/Release/qi-jail')

/** A runtime that drops NODE_EXTRA_CA_CERTS and its like would look faster than none: nobody gets them. */
const env = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin', LANG: 'C.UTF-8' }
let home = '/'

const running = ({ stdin, stdout, stderr }, exited, kill) => ({ stdin, stdout, stderr, exited, kill })

function run(argv, stdio, more = {}) {
  const child = spawn(argv[0], argv.slice(1), { stdio, env: { ...env, HOME: home, ...more }, cwd: home })
  const exited = new Promise((resolve, reject) =>
    child.once('error', reject).once('exit', (code, signal) => resolve({ code, signal }))
  )
  return running(child, exited, () => child.kill('SIGKILL'))
}

const config = ({ readable = [], hosts }) => ({
  filesystem: { readOnlyPaths: readable },
  ...(hosts ? { network: { allowedHosts: hosts } } : {})
})
const handle = (jail) => running(jail, jail.exited, () => jail.kill('SIGKILL'))
const options = (stdio) => ({ stdio, env: { ...env, HOME: home }, cwd: home })

const jailed = async (argv, stdio, { readable, hosts } = {}) =>
  handle(await spawnSandboxed(config({ readable, hosts }), argv, options(stdio)))

/** One jail that waits; building it, and no other after it, is its owner's business before anybody asks for it. */
async function pooled(argv, stdio, { readable, hosts } = {}) {
  const launcher = await prepare(config({ readable, hosts }), argv, { ...options(stdio), pool: 1 })
  const start = async () => {
    const jail = await launcher.spawn()
    await launcher.close()
    return handle(jail)
  }
  return { start, close: () => launcher.close() }
}

/** The floor with all of it done, waiting for a byte before its exec. */
async function waiting(argv, stdio) {
  const child = spawn(FLOOR, ['--wait', ...argv], { stdio: [...stdio, 'pipe'], env: { ...env, HOME: home }, cwd: home })
  const exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })))
  const close = () => child.kill('SIGKILL')
  await Promise.race([once(child.stdio[3], 'data'), exited])
  const start = () => {
    child.stdio[3].write('.')
    return running(child, exited, close)
  }
  return { start, close }
}

/** `qi-jail` with its cache of plans in a folder of the bench: warm from the second run on, or never. */
const tool =
  (folder, variables, command = CLI) =>
  (argv, stdio, { readable = [], hosts = [] } = {}) => {
    const flags = [...readable.flatMap((path) => ['--ro', path]), ...hosts.flatMap((host) => ['--net', host])]
    return run([command, ...flags, '--', ...argv], stdio, { XDG_CACHE_HOME: folder, ...variables })
  }

function engine(folder, root, command) {
  let started = 0
  const bundles = new Map()
  return (argv, stdio) => {
    const key = JSON.stringify(argv)
    if (!bundles.has(key)) bundles.set(key, bundleOf(`${folder}/${bundles.size}`, root, argv, env))
    const [program, ...words] = command
    const name = `qi-bench-${process.pid}-${started++}`
    return run([program, '--root', `${folder}/state`, ...words, '--bundle', bundles.get(key), name], stdio)
  }
}

function srt(folder) {
  const settings = new Map()
  return (argv, stdio, { hosts = [] } = {}) => {
    const key = hosts.join()
    if (!settings.has(key)) {
      settings.set(key, `${folder}/${settings.size}.json`)
      const network = { allowedDomains: hosts, deniedDomains: [] }
      const filesystem = { denyRead: [], allowWrite: [home], denyWrite: [] }
      writeFileSync(settings.get(key), JSON.stringify({ network, filesystem }))
    }
    return run([SRT, '--settings', settings.get(key), '--', ...argv], stdio)
  }
}

const FIREJAIL = ['firejail', '--quiet', '--noprofile', '--net=none', '--private-tmp', '--private-dev', '--']
const NSPAWN = ['systemd-nspawn', '--quiet', '--pipe', '--register=no', '--keep-unit', '--link-journal=no']
const RUNSC = ['runsc', '--ignore-cgroups', '--network=none', '--platform=ptrace', 'run']

/**
 * `ready`: what is to be done before the clock runs, for each command; gives `start` and `close`. `hosts`: it has an
 * allow-list of hosts. `version`: what tells that it is here. `onlyUsr`: its root has nothing but /usr.
 */
export function contendersIn(folder, root) {
  const own = (name) => {
    mkdirSync(`${folder}/${name}`, { recursive: true })
    return `${folder}/${name}`
  }
  home = own('home')
  const place = [`--directory=${root.plain}`, `--bind-ro=${STAGE}`, '--tmpfs=/tmp', '--read-only', '--private-network']
  const oci = (name, command) => ({ start: engine(own(name), root.whole, command), version: [name, '--version'] })
  return {
    bare: { start: run, hosts: true },
    // What no filter can cost less than, where calls are what is measured.
    'bare, any filter': {
      start: ([calls, ...words], stdio) => run([calls, 'filtered', ...words], stdio),
      onlyCalls: true
    },
    floor: { start: (argv, stdio) => run([FLOOR, ...argv], stdio), here: () => existsSync(FLOOR), onlyUsr: true },
    'floor, by a script': {
      start: (argv, stdio) => run(['/bin/sh', '-c', 'exec "$0" "$@"', FLOOR, ...argv], stdio),
      here: () => existsSync(FLOOR),
      onlyUsr: true
    },
    'floor, waiting': { ready: waiting, here: () => existsSync(FLOOR), onlyUsr: true },
    bubblewrap: {
      start: (argv, stdio, { readable = [] } = {}) => run(['bwrap', ...bubblewrap(...readable), '--', ...argv], stdio),
      version: ['bwrap', '--version']
    },
    crun: oci('crun', ['crun', 'run']),
    runc: oci('runc', ['runc', 'run']),
    firejail: { start: (argv, stdio) => run([...FIREJAIL, ...argv], stdio), version: ['firejail', '--version'] },
    'systemd-nspawn': {
      start: (argv, stdio) => run([...NSPAWN, ...place, '--', ...argv], stdio),
      version: ['systemd-nspawn', '--version']
    },
    runsc: oci('runsc', RUNSC),
    srt: { start: srt(own('srt')), version: [SRT, '--version'], hosts: true },
    'qi-jail CLI, cold': { start: tool(own('cold'), { QI_JAIL_NO_CACHE: '1' }), ours: true, hosts: true },
    'qi-jail CLI, warm': { start: tool(own('warm'), {}), ours: true, hosts: true },
    'qi-jail program, warm': { start: tool(own('warm'), {}, PROGRAM), ours: true, hosts: true },
    'qi-jail API': { start: jailed, ours: true, hosts: true },
    'qi-jail API, pooled': { ready: pooled, ours: true, hosts: true }
  }
}

/** What it says of itself, or why it cannot be asked. */
export function versionOf({ version, here, ours }) {
  if (ours) return { version: spawnSync(CLI, ['--version'], { encoding: 'utf8' }).stdout.trim() }
  if (here && !here()) return { missing: 'not built' }
  if (!version) return { version: '' }
  const asked = spawnSync(version[0], version.slice(1), { encoding: 'utf8', env })
  if (asked.error) return { missing: asked.error.code === 'ENOENT' ? 'not installed' : asked.error.message }
  return { version: (asked.stdout || asked.stderr).split('\n')[0].trim() }
}
