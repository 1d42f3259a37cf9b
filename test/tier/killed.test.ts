import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { probeHost } from '../../src/host/probe.js'
import { skipUnless } from '../support/skip.js'
import { as } from '../support/user.js'
import { ended, line, Site } from './support.js'

/** What the payload tries against those that supervise it, and against a child of its own. */
const AGAINST = `
import ctypes, errno, os, resource, signal, subprocess
def field(pid, name):
    return next(l.split()[1] for l in open(f'/proc/{pid}/status') if l.startswith(name + ':'))
init = os.getppid()
monitor = int(field(init, 'PPid'))
def below(pid):
    try: return int(field(pid, 'PPid')) == monitor
    except OSError: return False
ours = [monitor] + [int(p) for p in os.listdir('/proc') if p.isdigit() and below(p)]
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    if libc.syscall(number, *args) < 0: raise OSError(ctypes.get_errno(), '')
x64 = os.uname().machine == 'x86_64'
acts = {
  'stop': lambda pid: os.kill(pid, signal.SIGSTOP),
  'kill a thread': lambda pid: call(234 if x64 else 131, pid, pid, signal.SIGKILL),
  'time out': lambda pid: resource.prlimit(pid, resource.RLIMIT_CPU, (0, 0)),
  'slow': lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 19),
  'move': lambda pid: os.sched_setaffinity(pid, {0}),
  'look into': lambda pid: os.readlink(f'/proc/{pid}/fd/0'),
}
def got(act, pid):
    try:
        act(pid)
        return 'ok'
    except OSError as error:
        return errno.errorcode[error.errno]
names = sorted(field(pid, 'Name') for pid in ours)
print(';'.join(names))
for name, act in acts.items():
    own = subprocess.Popen(['sleep', '60'])
    print(name, ' '.join(sorted({got(act, pid) for pid in ours})), got(act, own.pid), sep=';')
    subprocess.run(['kill', '-9', str(own.pid)]); own.wait()
`

/** Nobody else's: everything that this user runs is this file's. */
const ID = 61241
const STRAY = fileURLToPath(new URL('../../build/Release/test-tools/stray', import.meta.url))
const DEV = ['--quiet', '--profile', 'dev', '--rw', '.', '--', STRAY]

const pause = (ms: number) => new Promise((later) => setTimeout(later, ms))
const asUser = (argv: string[]) => {
  const [file, args] = as('plain', argv, ID)
  return [file, ...args]
}

/**
 * Whether the user has no process, by the kernel's own count (RLIMIT_NPROC): whoever looks for processes one by one never
 * sees those that fork and end faster.
 */
function isAlone(): boolean {
  const two = ['prlimit', '--nproc=2', '--', ...asUser(['sh', '-c', '(exit 0); exit 0'])]
  return spawnSync(two[0] as string, two.slice(1), { stdio: 'ignore' }).status === 0
}

async function soon(is: () => boolean, ms = 60_000): Promise<boolean> {
  for (const until = Date.now() + ms; Date.now() < until; await pause(50)) if (is()) return true
  return false
}

/** kill(2) of -1, by the user, is all of it at once. */
function endAll(): Promise<boolean> {
  const [file = '', ...args] = asUser(['bash', '-c', 'kill -9 -1'])
  return soon(() => {
    spawnSync(file, args)
    return isAlone()
  })
}

const status = (pid: number | string) => {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return ''
  }
}
const childrenOf = (parent: number): [name: string, pid: number][] =>
  readdirSync('/proc')
    .filter((each) => /^\d+$/.test(each))
    .map((pid) => [pid, status(pid)] as const)
    .filter(([, text]) => new RegExp(`^PPid:\\t${parent}$`, 'm').test(text))
    .map(([pid, text]) => [/^Name:\t(.*)$/m.exec(text)?.[1] ?? '', Number(pid)])

type Supervisor = 'qi-monitor' | 'its child' | 'the warden'

/** A jail with guards around it, since the test run may be killed itself. */
const start = (site: Site, words: string[]) =>
  site.start([...['timeout', '-k', '1', '170', 'prlimit', '--nproc=200', '--'], ...site.qi('off', [...DEV, ...words])])

async function jailed(site: Site, ...words: string[]) {
  const child = start(site, words)
  const over = ended(child)
  const temp = (await line(child, /^ready/)).split(' ')[1] as string
  const monitor = childrenOf(child.pid as number)[0]?.[1] as number // what the command line tool became
  const below = childrenOf(monitor)
  const find = (name: string) => below.find((each) => each[0] === name)?.[1] as number
  const pids: Record<Supervisor, number> = {
    'qi-monitor': monitor,
    'its child': find('qi-monitor'),
    'the warden': find('qi-warden')
  }
  return { over, temp, pids }
}

let site: Site
beforeEach(() => {
  skipUnless(process.getuid?.() === 0, 'needs root')
  skipUnless(probeHost().landlockAbi >= 6, 'needs signal scopes of Landlock (ABI 6)')
  site = new Site(ID)
})
afterEach(async () => {
  if (process.getuid?.() !== 0) return
  expect(await endAll()).toBe(true)
  site?.remove()
})

describe('a jail without namespaces whose supervisors are killed', { timeout: 180_000 }, () => {
  const pairs: Supervisor[][] = [
    ['qi-monitor', 'its child'],
    ['its child', 'qi-monitor'],
    ['qi-monitor', 'the warden'],
    ['its child', 'the warden'],
    ['the warden']
  ]
  it.each(pairs.flatMap((whom) => [false, true].map((stopped) => [whom.join(', '), stopped, whom] as const)))(
    'leaves nothing of a chain of forks: %s, stopped first: %s',
    async (_names, stopped, whom) => {
      const { over, temp, pids } = await jailed(site, 'chain')
      expect(existsSync(temp)).toBe(true)
      if (stopped) for (const each of whom) process.kill(pids[each], 'SIGSTOP')
      for (const each of whom) process.kill(pids[each], 'SIGKILL')
      await over
      expect(await soon(isAlone)).toBe(true)
      expect(await soon(() => !existsSync(temp))).toBe(true)
    }
  )

  it('which would stay if nobody were left', async () => {
    const { temp, pids } = await jailed(site, 'chain')
    for (const pid of Object.values(pids)) process.kill(pid, 'SIGSTOP')
    // qi-monitor last: the kernel lets a stopped group go on when its parent's end makes it an orphan.
    for (const pid of Object.values(pids).reverse()) process.kill(pid, 'SIGKILL')
    expect(await soon(isAlone, 3000)).toBe(false)
    expect(await endAll()).toBe(true)
    rmSync(temp, { recursive: true })
  })

  it.each([
    ['scopes of Landlock', [], ['qi-monitor', 'qi-monitor', 'qi-warden']],
    ['qi-monitor alone', ['--protection', 'landlockScope=off'], ['qi-monitor', 'qi-monitor']]
  ])('does not let the payload at its supervisors: %s', async (_how, flags, names) => {
    const argv = ['--quiet', ...flags, '--profile', 'dev', '--rw', '.', '--', 'python3', '-c', AGAINST]
    const { status, stdout, stderr } = await ended(site.start(site.qi('off', argv)))
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout.trim().split('\n')).toEqual([
      names.join(';'),
      'stop;EPERM;ok',
      'kill a thread;EPERM;ok',
      'time out;EPERM;ok',
      'slow;EPERM;ok',
      'move;EPERM;ok',
      'look into;EACCES;ok'
    ])
  })

  it.each(['chain', 'headless'])('leaves nothing when the payload ends: %s', async (what) => {
    const { status, stderr } = await ended(start(site, [what, 'go']))
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(isAlone()).toBe(true)
  })

  it('leaves no process without its first thread when qi-monitor is killed', async () => {
    const { over, pids } = await jailed(site, 'headless')
    process.kill(pids['qi-monitor'], 'SIGKILL')
    await over
    expect(await soon(isAlone)).toBe(true)
  })
})
