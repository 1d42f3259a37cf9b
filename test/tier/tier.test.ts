import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ACT, call } from '../escape/support.js'
import { requireLandlock } from '../support/kernel.js'
import { skipUnless } from '../support/skip.js'
import { type Ended, ended, HOWS, type How, line, Site } from './support.js'

const at = (name: string) => readFileSync(fileURLToPath(new URL(name, import.meta.url)), 'utf8')
const ACTS = at('./acts.py')
const HOST = at('./host.py')

const DEV = ['--profile', 'dev', '--rw', '.', '--ro', 'read-only', '--audit', '~/audit.jsonl']
/** Of nobody else's: what is left in /tmp by these jails is told by whose it is. */
const ID = 61242
const temps = () => readdirSync('/tmp').filter((name) => /^qi-jail-[0-9a-f]{16}$/.test(name) && ofOurs(`/tmp/${name}`))
const ofOurs = (path: string) => {
  const uid = statSync(path, { throwIfNoEntry: false })?.uid
  return uid === (process.getuid?.() === 0 ? ID : process.getuid?.())
}
const ids = (name: string) => `${name}-${process.pid}-${Math.trunc(performance.now())}`

let site: Site
beforeEach(() => {
  requireLandlock()
  site = new Site(ID)
})
afterEach(() => site.remove())

/** What each act gets in the jail; what the host gives whoever tries the same outside is in `CONTROL`. */
const JAILED: Record<string, string> = {
  'read a secret': 'EACCES',
  'list home': 'EACCES',
  'write outside': 'EACCES',
  'truncate outside': 'EACCES',
  'truncate outside by open': 'EACCES',
  'chmod outside': 'EACCES',
  'times outside': 'EACCES',
  'chown outside': 'EACCES',
  'unlink outside': 'EACCES',
  'rename outside': 'EACCES',
  'watch outside': 'EACCES',
  'set-uid inside': 'EPERM',
  'write what is read-only': 'EACCES',
  'chmod what is read-only': 'EACCES',
  'flags of what is read-only': 'EPERM',
  'a link to the outside': 'EACCES',
  'write a hook': 'EACCES',
  'write the config': 'EACCES',
  'chmod the config': 'EACCES',
  'a second name for the config': 'EACCES',
  'move the hooks away': 'EACCES',
  'move .git away': 'EACCES',
  'open the temporary folder to others': 'EACCES',
  'make .env': 'EACCES',
  'make .ENV': 'EACCES',
  'move to .envrc': 'EACCES',
  'make .vscode': 'EACCES',
  'grow a file beyond the limit': 'EFBIG',
  'signal another process': 'EPERM',
  'signal its group': 'EPERM',
  'signal everybody': 'EPERM',
  'signal a thread': 'EPERM',
  'environment of another': 'EACCES',
  'memory of another': 'EACCES',
  'descriptors of another': 'EACCES',
  'folder of another': 'EACCES',
  'limits of another': 'EPERM',
  'priority of another': 'EPERM',
  'processor of another': 'EPERM',
  'signals by a descriptor': 'EPERM',
  'trace another': 'EPERM',
  'a socket of the host': 'EACCES',
  'an abstract socket of the host': 'EACCES',
  'take an abstract name': 'EACCES',
  'have an abstract name given': 'EPERM',
  'have a name chosen': 'EACCES',
  'System V memory': 'EPERM',
  'a POSIX queue': 'EPERM',
  'shared memory by name': 'EACCES',
  'a user namespace': 'EPERM',
  'a mount': 'EPERM'
}

/** What works in the jail as it does outside. */
const ALLOWED: Record<string, string> = {
  'write inside': '640 7',
  'work in .git': 'ok',
  'folders and links': 'ok',
  'cut a file': '0',
  'grow a file': '1000',
  'temporary files': '600 7',
  'signal oneself': 'ok',
  'end a child': 'ok',
  'one’s own environment': 'ok',
  'one’s own socket': 'mine',
  'options of sockets': 'ok'
}

const GIVEN: Record<string, string> = {
  'read a secret': 'secret',
  'environment of another': 'SECRET',
  'folder of another': '/',
  'a socket of the host': 'host',
  'an abstract socket of the host': 'host'
}

/** Runs the acts beside a process and sockets that are not the jail's. */
async function attempt(argv: (env: string[]) => string[], acts: string[] = []): Promise<Record<string, string>> {
  const abstract = ids('qi-tier')
  const host = site.start(['python3', '-c', HOST, join(site.home, 'host.sock'), abstract])
  const victim = (await line(host, /^victim/)).split(' ')[1] as string
  const env = { VICTIM: victim, ABSTRACT: abstract, TMPDIR: site.home }
  const flags = ['--env', 'VICTIM', '--env', 'ABSTRACT']
  const child = site.start([...argv(flags), 'python3', '-c', ACTS, ...acts], env)
  const { stdout, stderr } = await ended(child)
  const alive = line(host, /^alive/)
  host.stdin?.end()
  expect(await alive).toBe('alive True')
  expect(stdout, stderr).toMatch(/^\{/)
  return JSON.parse(stdout)
}

describe('a hostile payload without namespaces', () => {
  let control: Promise<Record<string, string>> | undefined

  /** The same acts outside of any jail: all of them work, so that what refuses them inside is the jail. */
  async function controls(): Promise<Record<string, string>> {
    control ??= attempt(() => [])
    return control
  }

  it('can do outside what it is refused inside', async () => {
    const outside = await controls()
    const traced = existsSync('/proc/sys/kernel/yama/ptrace_scope') ? ['trace another'] : []
    // Needs rights over a namespace; and not every file system has flags.
    const elsewhere = ['a mount', 'flags of what is read-only', ...traced]
    const expected = Object.keys(JAILED).filter((name) => !elsewhere.includes(name))
    expect(outside).toMatchObject(Object.fromEntries(expected.map((name) => [name, GIVEN[name] ?? 'ok'])))
    expect(outside).toMatchObject(ALLOWED)
    expect(statSync(join(site.project, 'made')).isFile()).toBe(true)
    const mount = await attempt(() => ['unshare', '--user', '--map-root-user', '--mount', '--'], ['a mount'])
    expect(mount).toEqual({ 'a mount': 'ok' })
  })

  it.each(HOWS)('reaches nothing: %s', async (how) => {
    const before = readFileSync(join(site.project, '.git/config'), 'utf8')
    // Once with the kernel's word on signals, once with qi-monitor's.
    const scope = how === 'off' ? ['--protection', 'landlockScope=off'] : []
    const got = await attempt((env) => site.qi(how, [...scope, ...DEV, ...env, '--']))
    const { protections } = site.launch() as { protections: Record<string, string> }
    // The kernel calls it a success when it was allowed to signal nobody. kill(2)
    const everybody = protections.landlockScope === 'enforced' ? 'ok' : 'EPERM'
    expect(got).toEqual({ ...JAILED, ...ALLOWED, 'signal everybody': everybody })
    expect(readFileSync(join(site.project, '.git/config'), 'utf8')).toBe(before)
    expect(readdirSync(join(site.project, '.git/hooks'))).toEqual([])
    expect(readFileSync(join(site.home, 'victim-file'), 'utf8')).toBe('host\n')
    const refused = site.audit().filter(({ event }) => event.action === 'filesystem.refused')
    const paths = refused.map(({ context }) => context.parameters?.path)
    expect(paths).toEqual(expect.arrayContaining([join(site.project, '.git/config'), join(site.home, 'victim-file')]))
  })
})

describe('protected names without namespaces', () => {
  const tries = `
import os, sys
def tried(act):
    try: act()
    except OSError as error: return error.errno
fd = os.open('.', os.O_RDONLY)
os.mkdir('plain')
print(tried(lambda: os.rmdir('.git')), tried(lambda: os.rmdir('.git', dir_fd=fd)), tried(lambda: os.symlink('gd', '.git')),
      tried(lambda: open('.git', 'w')), tried(lambda: os.rmdir('plain')))`
  const there = () => statSync(join(site.home, 'other/.git'), { throwIfNoEntry: false })?.isDirectory()

  it('a folder that may hold one is not replaced by a link or a file', async () => {
    for (const name of ['other', 'other/.git']) site.dir(name)
    const flags = ['--profile', 'dev', '--rw', '.', '--', 'sh', '-c', 'cd "$1" && exec python3 -c "$2"', 'sh']
    const at = join(site.home, 'other')
    const { stdout, stderr } = await site.run('off', ['--rw', at, ...flags, at, tries])
    expect(stdout.trim(), stderr).toMatch(/^13 13 (13|17) (13|21) None$/)
    expect(there()).toBe(true)
    const outside = await ended(site.start(['sh', '-c', 'cd "$1" && exec python3 -c "$2"', 'sh', at, tries]))
    expect(outside.stdout.trim(), outside.stderr).toBe('None 2 None None None')
    expect(there()).toBe(false)
  })

  it.each([
    ['0755', 'openat .env', '.env', 'EACCES'],
    ['0111', 'openat .env', '.env', 'EACCES'],
    ['0111', 'a set-id file', 'suid', 'EPERM'],
    ['0755', 'control', 'fresh', 'OK']
  ])('a program of mode %s: %s', async (mode, _title, name, got) => {
    const act = join(site.home, 'act')
    copyFileSync(ACT, act)
    chmodSync(act, 0o755)
    const opens = call('openat', -100, `s:${name}`, 0o301, name === 'suid' ? 0o4755 : 0o600)
    const script = 'cp "$1" "$TMPDIR/act" && chmod $2 "$TMPDIR/act" && shift 2 && exec "$TMPDIR/act" call "$@"'
    const flags = [...DEV, '--ro', act, '--', 'sh', '-c', script, 'sh', act, mode, ...opens]
    const { stdout, stderr } = await site.run('off', flags)
    expect(stdout, stderr).toMatch(new RegExp(`^${got}`))
    const rules = site.audit().filter(({ event }) => event.action === 'filesystem.refused')
    expect(rules).toHaveLength(got === 'OK' ? 0 : 1)
    const rule = rules[0]?.context.parameters?.rule
    if (got !== 'OK') expect(rule).toMatch(name === 'suid' ? /set-id/ : mode === '0111' ? /hides its memory/ : /\.env/)
  })
})

describe('dev without namespaces', () => {
  const servers: [name: string, argv: string[], input: string, output: RegExp][] = [
    [
      'node',
      ['node', '-e', 'process.stdin.on("data", (d) => process.stdout.write(String(d).toUpperCase()))'],
      'ping',
      /PING/
    ],
    ['python', ['python3', '-c', 'import sys; print(sys.stdin.read()[::-1])'], 'ping', /gnip/],
    ['a shell with a pipe', ['sh', '-c', 'cat | tr a-z A-Z > out && cat out'], 'ping', /PING/]
  ]
  it.each(HOWS.flatMap((how) => servers.map((each) => [how, ...each] as const)))(
    '%s: %s serves over stdio',
    async (how, _name, argv, input, output) => {
      const child = site.start(site.qi(how, [...DEV, '--', ...argv]))
      child.stdin?.end(input)
      const { status, stdout, stderr } = await ended(child)
      expect({ status, stderr: stderr.trim() }).toEqual({
        status: 0,
        stderr: expect.stringMatching(/^qi-jail: without namespaces \(.+\): Landlock, .+; see qi-jail doctor$/)
      })
      expect(stdout).toMatch(output)
    }
  )

  it('says what it is, and nothing with --quiet', async () => {
    const { stderr } = await site.run('a seccomp filter', ['--quiet', ...DEV, '--', 'true'])
    expect(stderr).toBe('')
    const { protections } = site.launch() as { protections: Record<string, string> }
    expect(protections.userNamespace).toBe('off: could not clone the jail into new namespaces: EPERM')
    expect(protections.privateRoot).toMatch(/^degraded: /)
    expect(protections.pidNamespace).toMatch(/^degraded: /)
    expect(protections.landlockFs).toMatch(/^(enforced|degraded: ABI)/)
    expect(protections.mandatoryDenies).toBe('enforced')
  })

  it('has namespaces where nobody forbids them', async () => {
    const { status, stderr } = await site.run('free', [...DEV, '--', 'true'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const { protections } = site.launch() as { protections: Record<string, string> }
    expect(protections.userNamespace).toBe('enforced')
  })

  it('keeps its payload to so many processes', async () => {
    const fork =
      'import os\nn = 0\ntry:\n  while n < 400:\n    if os.fork() == 0: os.read(0, 1)\n    n += 1\nexcept OSError as e: print(n, e.errno)\n'
    const child = site.start(site.qi('off', ['--pids', '12', ...DEV, '--', 'python3', '-c', fork]))
    const over = ended(child)
    const got = await line(child, /^\d+ 11$/)
    child.stdin?.end()
    await over
    // All processes of this user count, also those that other tests start meanwhile.
    expect(Number(got.split(' ')[0])).toBeLessThan(400)
  })

  it('ends a payload that takes too much memory', async () => {
    const hog = 'import time\nx = bytearray(300 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\ntime.sleep(60)'
    const flags = ['--memory', '100MiB', ...DEV, '--', 'python3', '-c', hog]
    const { status, stderr } = await site.run('off', flags)
    // RLIMIT_DATA stops it in one piece, the watchdog in many.
    expect(status === 1 || status === 137, stderr).toBe(true)
    const two = `import os\n${hog.replace('300', '70')}`.replace('x = ', 'os.fork()\nx = ')
    const ends = await site.run('off', ['--memory', '100MiB', ...DEV, '--', 'python3', '-c', two])
    expect(ends.status).toBe(137)
    expect(ends.stderr).toMatch(/memory/)
  })
})

describe('the end of a jail without namespaces', () => {
  /** Leaves a daemon that ignores signals, and one line of forks that each live for a moment. */
  const LEAVES = `
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        sys.stdout.flush(); os.close(1); os.close(2)
        open('daemon', 'w').write(str(os.getpid()))
        while True:
            if sys.argv[1] == 'still': time.sleep(1)
            elif os.fork(): os._exit(0)
    os._exit(0)
while not os.path.exists('daemon'): time.sleep(0.01)
open(os.environ['TMPDIR'] + '/left', 'w')
os.makedirs(os.environ['TMPDIR'] + '/' + 'd/' * 300)
os.chmod(os.environ['TMPDIR'] + '/d', 0)
print('ready', os.environ['TMPDIR'], flush=True)
if sys.argv[2] == 'stays': time.sleep(600)
`
  /** The marker is in their command lines. */
  const processes = (marker: string) =>
    readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid)) return false
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(marker)
      } catch {
        return false
      }
    })
  const gone = async (marker: string) => {
    const until = Date.now() + 60_000
    while (processes(marker).length > 0 && Date.now() < until) await new Promise((later) => setTimeout(later, 50))
    return processes(marker).length === 0
  }
  const jail = (...words: string[]) => site.start(site.qi('off', [...DEV, '--', 'python3', '-c', LEAVES, ...words]))

  it.each(['still', 'forking'])('leaves nothing when the payload ends: a daemon, %s', async (kind) => {
    const marker = ids('end')
    const child = jail(kind, 'goes', marker)
    const over = ended(child)
    const temp = (await line(child, /^ready/)).split(' ')[1] as string
    const { status } = await over
    expect(status).toBe(0)
    expect(processes(marker)).toEqual([])
    expect(existsSync(temp)).toBe(false)
  })

  it.each([
    ['still', 'qi-monitor', 'SIGKILL'],
    ['forking', 'qi-monitor', 'SIGKILL'],
    ['still', 'its child', 'SIGKILL'],
    ['forking', 'its child', 'SIGKILL'],
    ['forking', 'the launcher', 'SIGKILL']
  ] as const)('leaves nothing of a daemon, %s, when %s is killed', async (kind, whom, signal) => {
    const marker = ids('kill')
    const child = jail(kind, 'stays', marker)
    const over = ended(child)
    const temp = (await line(child, /^ready/)).split(' ')[1] as string
    expect(existsSync(temp)).toBe(true)
    const childrenOf = (pid: number) =>
      readdirSync('/proc').filter((each) => {
        try {
          return new RegExp(`^PPid:\\s+${pid}$`, 'm').test(readFileSync(`/proc/${each}/status`, 'utf8'))
        } catch {
          return false
        }
      })
    const launcher = child.pid as number
    const monitor = Number(childrenOf(launcher)[0])
    const init = Number(childrenOf(monitor)[0])
    process.kill({ 'the launcher': launcher, 'qi-monitor': monitor, 'its child': init }[whom], signal)
    expect(await gone(marker)).toBe(true)
    const until = Date.now() + 30_000
    while (existsSync(temp) && Date.now() < until) await new Promise((later) => setTimeout(later, 50))
    expect(existsSync(temp)).toBe(false)
    await over
  })
})

describe('who does not do without', () => {
  const forbidden = HOWS.filter((how): how is Exclude<How, 'off'> => how !== 'off')

  it.each(forbidden.flatMap((how) => ['strict', 'standard'].map((profile) => [profile, how] as const)))(
    '%s refuses, with the remedy: %s',
    async (profile, how) => {
      const { status, stdout, stderr } = await site.run(how, ['--json', '--profile', profile, '--', 'echo', 'ran'])
      expect({ status, stdout }).toEqual({ status: 125, stdout: '' })
      const { error } = JSON.parse(stderr)
      expect(error.code).toBe('QI_LAUNCH')
      expect(error.hint).toMatch(
        how === 'a seccomp filter' ? /seccomp filter forbids it/ : /max_user_namespaces is 0: raise it/
      )
      expect(error.hint).toMatch(/the profile dev does without namespaces/)
    }
  )

  it('strict does when all that is missing is tolerated, and names what is not', async () => {
    const one = await site.run('a seccomp filter', ['--json', '--tolerate', 'userNamespace', '--', 'true'])
    const { error } = JSON.parse(one.stderr)
    expect(error).toMatchObject({ code: 'QI_PROTECTION', value: 'mountNamespace' })
    const rest = [...(error.hint as string).matchAll(/--tolerate \w+/g)].flatMap(([each]) => each.split(' '))
    expect(rest).toContain('privateRoot')
    const all = ['--quiet', '--tolerate', 'userNamespace', ...rest]
    const connect = 'import socket\ntry: socket.socket()\nexcept OSError as e: print(e.errno)'
    const ended: Ended = await site.run('a seccomp filter', [...all, '--', 'python3', '-c', connect])
    expect(ended).toEqual({ status: 0, stdout: '13\n', stderr: '' })
  })

  it.each([
    [['--deny', '.git'], 'QI_TIER', /nothing can be taken out of a grant/],
    [['--net', 'example.com'], 'QI_TIER|QI_NETWORK|QI_CONFIG', /./],
    [['--protection', 'landlockFs=off'], 'QI_CONFIG', /keep one of the two/]
  ] as const)('refuses what only namespaces can give: %s', async (flags, code, hint) => {
    const { status, stderr } = await site.run('off', ['--json', ...DEV, ...flags, '--', 'true'])
    expect(status, stderr).toBe(125)
    const { error } = JSON.parse(stderr)
    expect(error.code).toMatch(new RegExp(`^(${code})$`))
    expect(error.hint).toMatch(hint)
  })

  it('refuses root, which would stay the root of the host', async () => {
    skipUnless(process.getuid?.() === 0, 'needs root')
    const [file = '', ...args] = site.qi('off', ['--json', '--', 'true'])
    const { status, stderr } = await ended(spawn(file, args, { stdio: 'pipe' }))
    expect({ status, code: JSON.parse(stderr).error.code }).toEqual({ status: 125, code: 'QI_TIER' })
  })

  it.each(forbidden)('the doctor tells why: %s', async (how) => {
    const { status, stdout } = await site.run(how, ['doctor', '--profile', 'dev', '--json'])
    const { host, remedies, launch } = JSON.parse(stdout)
    expect(host.userNamespaces.usable).toBe(false)
    expect(remedies.join('\n')).toMatch(/user namespaces: /)
    expect({ status, ok: launch.ok }).toEqual({ status: 0, ok: true })
    const strict = await site.run(how, ['doctor', '--json'])
    const found = JSON.parse(strict.stdout)
    expect({ status: strict.status, ok: found.ok }).toEqual({ status: 1, ok: false })
    expect(found.protections).toContainEqual(
      expect.objectContaining({ name: 'userNamespace', state: 'off', refused: true })
    )
  })
})

const before = temps()
afterAll(() => expect(temps().filter((name) => !before.includes(name))).toEqual([]))
