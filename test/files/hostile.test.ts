import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { type AuditLog, type Jail, type SandboxConfig, spawnSandboxed } from '../../src/index.js'
import { ACT, call, chain, jailed, type Result, scratch, users } from '../escape/support.js'
import { until } from '../launch/processes.js'

const observed = (over: SandboxConfig['filesystem'] = {}): SandboxConfig => ({
  filesystem: over,
  audit: { files: 'denied' }
})
const files = ({ events }: Pick<Result, 'events'>) =>
  events
    .filter(({ event }) => event.action.startsWith('file.'))
    .map(({ event, context }): Record<string, unknown> => ({ ...event, ...context.parameters }))

const open = (pointer: string | number, flags = 0) => call('openat', -100, pointer, flags, 0)
const hex = (bytes: Buffer) => `b:${bytes.toString('hex')}00`

describe.each(users)('launched by %s', (user) => {
  const run = (...calls: string[][]) => jailed(user, { config: observed(), argv: [ACT, 'call', ...chain(...calls)] })

  test.each([
    ['the null pointer', 0, 'EFAULT'],
    ['an unmapped one', '0x1000', 'EFAULT'],
    ['one of the kernel', -4096, 'EFAULT'],
    ['an empty path', 's:', 'ENOENT'],
    ['a path without an end', hex(Buffer.alloc(60_000, 'a')), 'ENAMETOOLONG'],
    ['a path of exactly the longest length', hex(Buffer.from(`/${'./'.repeat(2046)}ab`)), 'ENOENT'],
    ['a name that is too long', `s:/tmp/${'n'.repeat(256)}`, 'ENAMETOOLONG']
  ])('%s is the kernel’s to refuse, and no event', async (_, pointer, errno) => {
    const result = await run(open(pointer))
    expect(result.stdout).toMatch(new RegExp(`^${errno}`))
    expect(files(result)).toEqual([])
    expect(result.exit).toMatchObject({ code: 0 })
  })

  test('a name that is no UTF-8, and one with line breaks and quotes, are one line of JSON each', async () => {
    const hidden = scratch(user)
    for (const name of [Buffer.from('\xff\xfe', 'latin1'), Buffer.from('a\n"}\u0001b')]) {
      const path = Buffer.concat([Buffer.from(`${hidden}/`), name])
      writeFileSync(path, '')
      const result = await run(open(hex(path)))
      expect(result.stdout).toMatch(/^ENOENT/)
      expect(files(result)).toEqual([
        expect.objectContaining({ action: 'file.read', rule: 'not granted', path: `${hidden}/${name.toString()}` })
      ])
    }
  })

  test('from a folder that was removed nothing is told, nor granted', async () => {
    const result = await run(
      call('mkdirat', -100, 's:/tmp/gone', 0o700),
      call('chdir', 's:/tmp/gone'),
      call('unlinkat', -100, 's:/tmp/gone', 0x200),
      open('s:../etc/shadow')
    )
    expect(result.stdout).toMatch(/^ENOENT/)
    expect(files(result)).toEqual([])
  })

  test('a descriptor that is no folder, or not open', async () => {
    for (const from of ['$0', 999]) {
      const result = await run(open('s:/etc/passwd'), call('openat', from, 's:x', 0, 0))
      expect(result.stdout).toMatch(/^(ENOTDIR|EBADF)/)
      expect(files(result)).toEqual([])
    }
  })

  test('the root of who asks, and a path too long with its folder’s name, hide nothing', async () => {
    for (const link of ['/proc/self/root', '/proc/thread-self/root', '/proc/self/root/proc/thread-self/root']) {
      const told = files(await run(open(`s:${link}/etc/shadow`)))
      expect(told).toEqual([expect.objectContaining({ action: 'file.read', path: '/etc/shadow' })])
    }
    const deep = Array.from({ length: 12 }, () => [
      call('mkdirat', -100, `s:${'n'.repeat(200)}`, 0o700),
      call('chdir', `s:${'n'.repeat(200)}`)
    ]).flat()
    const from = async (ups: number) =>
      files(await run(call('chdir', 's:/tmp'), ...deep, open(`s:${'../'.repeat(ups)}etc/shadow`)))
    expect(await from(700)).toEqual([
      expect.objectContaining({ existence: 'unknown', path: expect.stringMatching(/^\/tmp\/n.*\/etc\/shadow$/) })
    ])
    expect(await from(14)).toEqual([expect.objectContaining({ action: 'file.read', path: '/etc/shadow' })])
  })

  test('links in a circle end', async () => {
    const result = await run(
      call('symlinkat', 's:b', -100, 's:/tmp/a'),
      call('symlinkat', 's:a', -100, 's:/tmp/b'),
      open('s:/tmp/a')
    )
    expect(result.stdout).toMatch(/^ELOOP/)
    expect(files(result)).toEqual([])
  })

  test('who dies or loses its memory while it is looked at harms nobody', async () => {
    const shell =
      'i=0; while [ $i -lt 50 ]; do (sh -c "while :; do true < /etc/shadow; done" & p=$!; kill -9 $p) 2>/dev/null; i=$((i+1)); done; echo still'
    const result = await jailed(user, { config: observed(), argv: ['/bin/sh', '-c', shell] })
    expect(result.stdout).toBe('still\n')
    expect(result.exit).toMatchObject({ code: 0 })
  })

  test('signals without SA_RESTART: an open works or says EINTR, and whoever tries again gets in', async () => {
    const perl = `
      use POSIX; use Time::HiRes qw(setitimer ITIMER_REAL);
      my $count = POSIX::SigAction->new(sub { $n++ }, POSIX::SigSet->new, 0);
      $count->safe(1); # or the handler runs in the middle of perl's own work, which may be its end
      sigaction(SIGALRM, $count);
      my $began = Time::HiRes::time; POSIX::close(POSIX::open("/etc/passwd", O_RDONLY)) for 1..50;
      my $every = (Time::HiRes::time - $began) / 50; $every = 0.0002 if $every < 0.0002; # about once in each open
      setitimer(ITIMER_REAL, $every, $every);
      for (1..3000) { my $fd; do { $fd = POSIX::open("/etc/passwd", O_RDONLY) } while (!defined $fd && $! == EINTR && ++$e); $ok++ if defined $fd; POSIX::close($fd) }
      print "$ok ", $n > 0 ? "signalled" : "quiet", "\\n"`
    const result = await jailed(user, { config: observed(), argv: ['/usr/bin/perl', '-e', perl] })
    expect(result).toMatchObject({ stdout: '3000 signalled\n', exit: { code: 0 } })
  })
})

/** The qi-monitor of a jail of this process: the parent of the parent of its payload. */
function monitorOf(jail: Jail): number {
  const parent = (pid: number) => Number(/^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  return parent(parent(jail.pid))
}

const lines = async (jail: Jail) => {
  let text = ''
  for await (const chunk of jail.stdout as NodeJS.ReadableStream) text += String(chunk)
  return text
}

/** Seconds of the processor that a process has had. */
function spent(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** ENOENT; or ELOOP: the kernel counts the links of a walk without locks and of the one with, where that one was disturbed. */
const ENDS = [2, 40]

/** Links that lead to and fro, each to the one before; then a path behind the last of them, over many names. */
const MAZE = `
import os, sys, time
os.chdir('/tmp'); os.mkdir('t'); os.mkdir('t/d'); last = 't'
for i in range(38):
    os.symlink('t/' + 'd/../' * 800 + '../' + last, 'l%d' % i); last = 'l%d' % i
path = last + '/x' * 1900
def tried(act):
    try: act()
    except OSError as error: return error.errno
began = time.process_time(); tried(lambda: os.stat(path))
print(time.process_time() - began, flush=True); sys.stdin.readline()
print(tried(lambda: os.open(path, os.O_RDONLY)), flush=True); sys.stdin.readline()
print(tried(lambda: os.open('l2/../../etc/shadow', os.O_RDONLY)), flush=True)`

describe('a path that takes long to follow', () => {
  test('keeps qi-monitor for little longer than the kernel, and the next one is seen', async () => {
    const jail = await spawnSandboxed(observed(), ['/usr/bin/python3', '-c', MAZE], {
      stdio: ['pipe', 'pipe', 'inherit']
    })
    const events: AuditLog[] = []
    jail.on('event', (event) => events.push(event))
    const [input, output] = [jail.stdin, jail.stdout?.[Symbol.asyncIterator]()]
    const next = async () => Number(String((await output?.next())?.value))
    const alone = await next()
    const before = spent(monitorOf(jail))
    input?.write('\n')
    expect(ENDS).toContain(await next())
    expect(spent(monitorOf(jail)) - before).toBeLessThan(0.3 + 20 * alone)
    input?.write('\n')
    expect(await next()).toBe(2)
    input?.end()
    expect(await jail.exited).toMatchObject({ code: 0 })
    expect(files({ events })).toContainEqual(expect.objectContaining({ path: '/etc/shadow', rule: 'not granted' }))
  })
})

describe('a qi-monitor that does not answer', () => {
  const looping = () =>
    spawnSandboxed(
      observed(),
      ['/bin/sh', '-c', 'echo $$; while read x; do IFS=: read y rest < /etc/passwd; echo "$y"; done'],
      {
        stdio: ['pipe', 'pipe', 'inherit']
      }
    )

  test('keeps the call waiting, and no longer than it is stopped', async () => {
    const jail = await looping()
    const text = lines(jail)
    const monitor = monitorOf(jail)
    process.kill(monitor, 'SIGSTOP')
    jail.stdin?.end('go\n')
    await sleep(200)
    expect(readFileSync(`/proc/${jail.pid}/wchan`, 'utf8')).not.toBe('')
    process.kill(monitor, 'SIGCONT')
    expect((await text).split('\n')).toHaveLength(3)
    expect(await jail.exited).toMatchObject({ code: 0 })
  })

  test('and dies takes the jail along', async () => {
    const jail = await looping()
    const text = lines(jail)
    const monitor = monitorOf(jail)
    process.kill(monitor, 'SIGSTOP')
    jail.stdin?.end('go\n')
    await sleep(200)
    process.kill(monitor, 'SIGKILL')
    expect(await jail.exited).toMatchObject({ signal: 'SIGKILL', terminationReason: 'monitor-lost' })
    await text
    // The kernel ends it when its supervisors have ended, which is a moment later.
    await until(() => !existsSync(`/proc/${jail.pid}`), 'the payload is gone')
  })
})
