import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { SandboxConfig } from '../../src/index.js'
import { kernelBefore } from '../support/kernel.js'
import { skipUnless } from '../support/skip.js'
import { project, writable } from './project.js'
import { ACT, call, chain, jailed, type User, users } from './support.js'

const NOFILE = 7
const resources = (limits: NonNullable<SandboxConfig['resources']>): SandboxConfig => ({
  resources: { maxExecutionTime: '20s', ...limits }
})

describe.each(users)('limits, launched by %s', (user: User) => {
  const act = async (words: string[], config: SandboxConfig = {}) => jailed(user, { argv: [ACT, ...words], config })
  const line = async (words: string[], config: SandboxConfig = {}) => (await act(words, config)).stdout.trim()

  it('a fork bomb ends at the limit', async () => {
    skipUnless(!kernelBefore(5, 14), 'before Linux 5.14 processes are counted for each user')
    expect(await line(['fork-many'], resources({ maxProcesses: 40 }))).toMatch(/^EAGAIN 3\d$/)
    expect(await line(['fork-many'], resources({ maxProcesses: 80 }))).toMatch(/^EAGAIN 7\d$/)
    expect(await line(['fork-many'], resources({}))).toMatch(/^EAGAIN 5\d\d$/) // the profile's
  })

  it('descriptors end at the limit', async () => {
    expect(await line(['open-many'], resources({ maxFileDescriptors: 64 }))).toBe('EMFILE 64')
    expect(await line(['open-many'], resources({ maxFileDescriptors: 128 }))).toBe('EMFILE 128')
  })

  it('there is room for descriptors from the start, as far as the limit goes', async () => {
    const size = async (maxFileDescriptors: number) => {
      const argv = ['/usr/bin/grep', 'FDSize', '/proc/self/status']
      return (await jailed(user, { argv, config: resources({ maxFileDescriptors }) })).stdout
    }
    expect(await size(1024)).toBe('FDSize:\t256\n')
    expect(await size(200)).toBe('FDSize:\t64\n')
  })

  it('no limit can be raised', async () => {
    for (const resource of [NOFILE, 6, 1, 4]) {
      expect(await line(['call', ...call('prlimit64', 0, resource, 'b:ffffffffffffff7fffffffffffffff7f', 0)])).toBe(
        'EPERM'
      )
    }
    expect(await line(['call', ...call('setrlimit', NOFILE, 'p:10,10')])).toBe('OK 0')
  })

  it.each(['/tmp', '/dev/shm'])('the private %s is full when it is full', async (place) => {
    const fill = (size: number) => [
      'call',
      ...chain(call('openat', -100, `s:${place}/qi-limits`, 0o102, 0o600), call('fallocate', '$0', 0, 0, size))
    ]
    const config = resources({ tmpSize: '4MB' })
    expect(await line(fill(8 << 20), config)).toBe('ENOSPC #1')
    expect(await line(fill(1 << 20), config)).toBe('OK 0')
  })

  it('a file ends at the limit', async () => {
    const config = { filesystem: { maxFileSize: '1MB' } }
    const write = (at: number) =>
      chain(call('openat', -100, 's:/tmp/qi-limits', 0o102, 0o600), call('pwrite64', '$0', 's:x', 1, at))
    const killed = await act(['call', ...write(2 << 20)], config)
    expect(killed.exit.signal).toBe('SIGXFSZ')
    const event = killed.events.find((e) => e.event.action === 'limit.exceeded')
    expect(event?.context.parameters).toMatchObject({ limit: 'maxFileSize' })
    const ignore = call('rt_sigaction', 25, `b:01${'00'.repeat(31)}`, 0, 8)
    const ignored = chain(
      ignore,
      call('openat', -100, 's:/tmp/qi-limits', 0o102, 0o600),
      call('pwrite64', '$1', 's:x', 1, 2 << 20)
    )
    expect(await line(['call', ...ignored], config)).toBe('EFBIG #2')
    expect(await line(['call', ...write(1000)], config)).toBe('OK 1')
  })

  it('memory of a process ends at the limit', async () => {
    // Used, not only asked for: a cgroup counts what was touched.
    const fill = (size: number) => ['/usr/bin/perl', '-e', `my $x = "a" x ${size}; print length $x`]
    const config = resources({ maxMemory: '64MB' })
    expect((await jailed(user, { argv: fill(256 << 20), config })).stdout).toBe('')
    expect((await jailed(user, { argv: fill(16 << 20), config })).stdout).toBe(String(16 << 20))
  })

  it('no core is dumped', async () => {
    const folder = project(user)
    const before = readdirSync(folder)
    const result = await jailed(user, {
      argv: ['/bin/sh', '-c', `cd ${folder}; ulimit -c; kill -SEGV $$`],
      config: writable(folder)
    })
    expect(result.exit.signal).toBe('SIGSEGV')
    expect(result.stdout).toBe('0\n')
    expect(readdirSync(folder)).toEqual(before)
  })
})
