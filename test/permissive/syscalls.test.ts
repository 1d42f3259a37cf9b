// What permissive lets through of system calls and what not, and what a policy changes of the table, in real jails.
import { chmodSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { FIXED, openCalls } from '../../src/filter/refused.js'
import type { SandboxConfig } from '../../src/index.js'
import {
  ACT,
  call,
  chain,
  jailed,
  type Result,
  scratch,
  tryJailed,
  type User,
  users,
  type Word
} from '../escape/support.js'

const fixture = (name: string) => fileURLToPath(new URL(`../filter/fixtures/${name}`, import.meta.url))
const refused = ({ events }: Result) =>
  events
    .filter(({ event }) => event.action === 'syscall.refused')
    .map(
      ({ event, context }) => ({ outcome: event.outcome, ...(context.parameters as object) }) as Record<string, unknown>
    )

const x64 = process.arch === 'x64'
const NEWUSER = 0x10000000
const [AF_VSOCK, AF_PACKET, AF_ALG] = [40, 17, 38]
const TIOCSTI = 0x5412

/** Refused in either mode: the act, and the errno. */
const STAYS: [title: string, words: string[], errno: string][] = [
  ['a user namespace', call('unshare', NEWUSER), 'EPERM'],
  ['a user namespace by clone', call('clone', NEWUSER | 17, 0, 0, 0, 0), 'EPERM'],
  ['a virtual machine’s socket', call('socket', AF_VSOCK, 1, 0), 'EPERM'],
  ['a packet socket', call('socket', AF_PACKET, 3, 0), 'EPERM'],
  ['a kernel crypto socket', call('socket', AF_ALG, 5, 0), 'EPERM'],
  ['typing into the terminal', call('ioctl', 1, TIOCSTI, 's:x'), 'EPERM'],
  ['a set-id bit', call('fchmodat', -100, 's:/tmp', 0o4755), 'EPERM'],
  ['faking the image in /proc', call('prctl', 35, 1, 0, 0, 0), 'EPERM'],
  ...'mount umount2 pivot_root chroot setns open_tree fsopen bpf perf_event_open userfaultfd io_uring_setup add_key keyctl open_by_handle_at memfd_secret init_module syslog swapon lsm_set_self_attr'
    .split(' ')
    .map((name): [string, string[], string] => [name, call(name, 0, 0, 0, 0, 0), 'EPERM'])
]

describe.each(users)('launched by %s', (user: User) => {
  const act = (config: SandboxConfig, words: string[]) => jailed(user, { config, argv: [ACT, 'call', ...words] })
  const permissive: SandboxConfig = { enforcement: 'permissive' }

  it('what policies may allow passes, and is recorded with the verdict that it would have had', async () => {
    const harmless = call('personality', 0x0040000)
    const strict = await act({}, harmless)
    expect(strict.stdout.trim()).toBe('EPERM')
    expect(refused(strict)).toMatchObject([{ outcome: 'blocked', syscall: 'personality', verdict: 'EPERM' }])
    expect(refused(strict)[0]).not.toHaveProperty('wouldBe')
    const let_ = await act(permissive, harmless)
    expect(let_.stdout.trim()).toBe('OK 0')
    expect(refused(let_)).toMatchObject([
      { outcome: 'success', wouldBe: 'blocked', syscall: 'personality', rule: 'process-options', verdict: 'EPERM' }
    ])
    expect([let_.exit.refusals, let_.exit.permitted]).toEqual([0, 1])
    expect([strict.exit.refusals, strict.exit.permitted]).toEqual([1, 0])
  })

  it('each of them gets to the kernel', async () => {
    for (const name of openCalls()) {
      // Of personality -1 is the question what it is, which the filter lets through.
      const first = name === 'personality' ? 0x0040000 : -1
      const result = await act(permissive, call(name, first, -1, -1, -1, -1, -1))
      const [event] = refused(result)
      expect([name, event?.syscall, event?.wouldBe, event?.outcome]).toEqual([name, name, 'blocked', 'success'])
      expect([name, result.exit.permitted]).toEqual([name, 1])
    }
  }, 120_000)

  it('the launch says which mode it is', async () => {
    for (const [config, mode] of [
      [{}, 'strict'],
      [permissive, 'permissive']
    ] as const) {
      const { events } = await act(config, call('getpid'))
      const launch = events.find(({ event }) => event.action === 'jail.launch')
      expect(launch?.context.parameters?.enforcement).toBe(mode)
    }
  })

  it('the rest stays refused, and says so', async () => {
    for (const config of [permissive, {}])
      for (const [title, words, errno] of STAYS) {
        const result = await act(config, words)
        expect([title, result.stdout.trim()]).toEqual([title, errno])
        const [event] = refused(result)
        expect([title, event?.outcome, event?.wouldBe]).toEqual([title, 'blocked', undefined])
      }
  }, 240_000)

  it('the lethal list stays lethal', async () => {
    if (!x64) return expect(FIXED.size).toBeGreaterThan(0)
    const { exit } = await jailed(user, { config: permissive, argv: [ACT, 'i386', 'getpid'] })
    expect(exit.signal).toBe('SIGSYS')
  })

  it('a flood of what is let through is counted, not written one by one', async () => {
    const words = chain(...Array.from({ length: 200 }, () => call('personality', 0x0040000)))
    const { exit, events } = await act(permissive, words)
    const counted = refused({ events } as Result)
    expect(exit.permitted).toBe(200)
    expect(counted.length).toBeLessThan(50)
    expect(counted.reduce((sum, { repeatCount }) => sum + Number(repeatCount), 0)).toBe(200)
  })

  describe('syscalls', () => {
    it('allow lifts a refusal without an event; deny refuses with its origin, and wins', async () => {
      const personality = call('personality', 0x0040000)
      const allowed = await act({ syscalls: { allow: ['personality'] } }, personality)
      expect([allowed.stdout.trim(), refused(allowed)]).toEqual(['OK 0', []])
      const both = await act({ syscalls: { allow: ['personality'], deny: ['personality'] } }, personality)
      expect(both.stdout.trim()).toBe('EPERM')
      expect(refused(both)).toMatchObject([{ outcome: 'blocked', rule: 'config: syscalls.deny[0]', verdict: 'EPERM' }])
      const plain = await act({}, call('getpgid', 0))
      expect(plain.stdout).toMatch(/^OK/)
      for (const mode of [{}, permissive]) {
        const denied = await act({ ...mode, syscalls: { deny: ['getpgid'] } }, call('getpgid', 0))
        expect(denied.stdout.trim()).toBe('EPERM')
        expect(refused(denied)).toMatchObject([{ outcome: 'blocked', syscall: 'getpgid' }])
      }
    })

    it('a command that needs what is denied starts, and fails by itself', async () => {
      const result = await jailed(user, {
        config: { syscalls: { deny: ['openat'] } },
        argv: ['/bin/sh', '-c', 'exit 3']
      })
      expect(result.exit.code).toBe(127)
      expect(result.exit.terminationReason).toBe('exit')
      expect(refused(result)[0]).toMatchObject({ syscall: 'openat', rule: 'config: syscalls.deny[0]' })
    })

    it('what no command can do without cannot be denied', async () => {
      const { error } = await tryJailed(user, { config: { syscalls: { deny: ['execve'] } }, argv: ['/bin/true'] })
      expect(error).toMatchObject({ code: 'QI_SYSCALLS' })
      expect(error?.message).toContain('no command starts or ends without it')
    })
  })

  describe('an imported profile', () => {
    let folder: string
    const write = (document: object): string => {
      const path = `${folder}/profile.json`
      writeFileSync(path, JSON.stringify(document))
      chmodSync(path, 0o644)
      return path
    }
    const errno = (name: string, errnoRet: number, ...args: object[]) => ({
      names: [name],
      action: 'SCMP_ACT_ERRNO',
      errnoRet,
      ...(args.length ? { args } : {})
    })
    beforeAll(() => {
      folder = scratch(user)
    })

    it.each(['docker-shaped.json', 'podman-shaped.json'])('%s runs ordinary programs', async (file) => {
      const oci = `${folder}/${file}`
      const { readFileSync } = await import('node:fs')
      writeFileSync(oci, readFileSync(fixture(file)))
      chmodSync(oci, 0o644)
      const script =
        "const t = new (require('worker_threads').Worker)('0', { eval: true }); t.on('exit', () => console.log('done'))"
      const result = await jailed(user, { config: { syscalls: { oci } }, argv: [process.execPath, '-e', script] })
      expect([result.stdout.trim(), result.exit.code]).toEqual(['done', 0])
      const keys = await act({ syscalls: { oci } }, call('add_key', 0, 0, 0, 0, 0))
      expect(keys.stdout.trim()).toBe('EPERM')
      expect(refused(keys)[0]?.rule).toBe(`config: syscalls.oci: ${oci}`)
    })

    it('refuses with the errno of the case, and records it', async () => {
      const oci = write({
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [
          errno('getpgid', 38),
          errno('socket', 22, { index: 0, value: 16, op: 'SCMP_CMP_EQ' }, { index: 2, value: 0, op: 'SCMP_CMP_EQ' }),
          errno('socket', 97, { index: 1, value: 5, op: 'SCMP_CMP_GE' })
        ]
      })
      const config = { syscalls: { oci } }
      const cases: [Word[], string][] = [
        [call('getpgid', 0), 'ENOSYS'],
        [call('socket', 16, 3, 0), 'EINVAL'],
        [call('socket', 2, 5, 0), 'EAFNOSUPPORT'],
        [call('socket', 40, 1, 0), 'EPERM'] // the table's own
      ]
      for (const [words, said] of cases) {
        const result = await act(config, words as string[])
        expect(result.stdout.trim()).toBe(said)
        expect(refused(result)).toMatchObject([{ outcome: 'blocked', verdict: said }])
      }
      expect((await act(config, call('socket', 2, 2, 0))).stdout).toMatch(/^OK/)
      const lifted = await act({ syscalls: { oci, allow: ['getpgid'] } }, call('getpgid', 0))
      expect([lifted.stdout.slice(0, 2), refused(lifted)]).toEqual(['OK', []])
      const let_ = await act({ ...config, ...permissive }, call('getpgid', 0))
      expect(let_.stdout).toMatch(/^OK/)
      expect(refused(let_)).toMatchObject([{ outcome: 'success', wouldBe: 'blocked', verdict: 'ENOSYS' }])
      // What the table refuses too stays refused.
      const both = await act({ ...config, ...permissive }, call('socket', 40, 5, 0))
      expect(both.stdout.trim()).toBe('EPERM')
      expect(refused(both)).toMatchObject([{ outcome: 'blocked', rule: 'socket-families' }])
    })

    it('kills where it says so', async () => {
      const oci = write({
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['getpgid'], action: 'SCMP_ACT_KILL_PROCESS' }]
      })
      for (const mode of [{}, permissive]) {
        const { exit, stdout } = await act({ ...mode, syscalls: { oci } }, call('getpgid', 0))
        expect([exit.signal, stdout]).toEqual(['SIGSYS', ''])
      }
      expect((await act({ syscalls: { oci } }, call('getpgrp'))).exit.code).toBe(0)
    })
  })
})
