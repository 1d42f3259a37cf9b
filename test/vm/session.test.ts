import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Jail, SandboxConfig } from '../../src/index.js'
import { spawnSandboxed } from '../../src/index.js'
import { readAudit } from '../launch/driver.js'
import { left, tree } from '../launch/processes.js'
import { skipUnless } from '../support/skip.js'

// What a person has who is logged in on a systemd machine: no rights, and a manager that gives limits away. Root asks the
// machine's own.

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const HOG = at('build/Release/test-tools/hog')
const isRoot = process.getuid?.() === 0
const MANAGER = isRoot ? '--system' : '--user'
const GROUPS = '/sys/fs/cgroup'
const MB = 2 ** 20
const LIMITS = { maxMemory: 64 * MB, maxProcesses: 40, maxCpu: 0.25 }

/** What the manager says. In a folder that is not its root systemctl would do nothing, successfully. */
const systemctl = (...words: string[]): string =>
  execFileSync('systemctl', [MANAGER, ...words], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, SYSTEMD_IGNORE_CHROOT: '1' }
  }).trim()

/** The controllers that come down to the manager; none where there is no such thing. */
function delegated(): string {
  try {
    const group = systemctl('show', '--property=ControlGroup', '--value', '--', '-.slice')
    return readFileSync(`${GROUPS}${group}/cgroup.controllers`, 'utf8')
  } catch {
    return ''
  }
}
const session = /\bmemory\b.*\bpids\b/.test(delegated())
const cpu = /\bcpu\b/.test(delegated())

/** Older kernels lack Landlock, or parts of it, which is not what is looked at here. */
const tolerate = ['landlockFs', 'landlockNet', 'landlockScope'] as const

async function jailed(hog: string[], resources: SandboxConfig['resources'] = LIMITS): Promise<Jail> {
  const jail = await spawnSandboxed({ tolerate: [...tolerate], resources }, [HOG, ...hog, '--seconds', '500'])
  onTestFinished(() => jail[Symbol.asyncDispose]())
  return jail
}

async function output(jail: Jail): Promise<string> {
  let text = ''
  for await (const chunk of jail.stdout as NodeJS.ReadableStream) text += chunk
  return text.trimEnd()
}

const scopeOf = (jail: Jail): string => jail.cgroup?.split('/').find((name) => name.endsWith('.scope')) ?? ''
const loaded = (unit: string) => systemctl('list-units', '--all', '--plain', '--no-legend', unit) !== ''
const file = (jail: Jail, name: string) => readFileSync(`${GROUPS}${jail.cgroup}/${name}`, 'utf8').trim()

/** systemd takes a moment to notice. */
async function expectGone(jail: Jail, unit: string): Promise<void> {
  for (let i = 0; i < 100 && loaded(unit); i++) await sleep(100)
  expect(loaded(unit)).toBe(false)
  expect(existsSync(`${GROUPS}${jail.cgroup}`)).toBe(false)
}

beforeEach(() => skipUnless(session, 'needs a systemd session that delegates memory and pids'))

describe('a jail of somebody who is logged in', () => {
  test('has its limits from a scope that comes and goes with it', async () => {
    const jail = await jailed(['heap', '1M', '--hold'])
    const states = Object.fromEntries(jail.protections.map(({ name, state }) => [name, state]))
    expect(states).toMatchObject({ memoryLimit: 'enforced', processLimit: 'enforced' })
    expect(states.cpuLimit).toBe(cpu ? 'enforced' : 'off')
    const unit = scopeOf(jail)
    expect(systemctl('is-active', unit)).toBe('active')
    expect(file(jail, 'memory.max')).toBe(String(64 * MB))
    expect(file(jail, 'memory.oom.group')).toBe('1')
    expect(file(jail, 'pids.max')).toBe('41') // pid 1 is ours
    if (cpu) expect(file(jail, 'cpu.max')).toBe('25000 100000')
    expect(file(jail, 'cgroup.procs').split('\n')).toContain(String(jail.pid))
    jail.kill('SIGKILL')
    await jail.exited
    await expectGone(jail, unit)
  })

  test('leaves no scope when qi-monitor is killed', async () => {
    const jail = await jailed(['heap', '1M', '--hold'])
    const unit = scopeOf(jail)
    const monitor = tree(process.pid).find(({ pid }) => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'qi-monitor\n')
    const all = tree(monitor?.pid as number)
    expect(all.map(({ pid }) => pid)).toContain(jail.pid)
    process.kill(monitor?.pid as number, 'SIGKILL')
    expect(await jail.exited).toMatchObject({ terminationReason: 'monitor-lost' })
    expect(await left(all, 60_000)).toEqual([])
    await expectGone(jail, unit)
  })

  test('ends at its memory limit, whole', async () => {
    const jail = await jailed(['shared', '512M'])
    expect(await jail.exited).toMatchObject({ signal: 'SIGKILL', terminationReason: 'memory' })
    const control = await jailed(['shared', '16M'])
    expect(await output(control)).toMatch(/OK 16777216$/)
  })

  test('has no more processes than its limit', async () => {
    expect(await output(await jailed(['processes', '500']))).toMatch(/^EAGAIN 3\d$/m)
    expect(await output(await jailed(['processes', '20']))).toMatch(/OK 20$/)
    const strict = await jailed(['bomb', '500'], { ...LIMITS, onProcessLimit: 'kill' })
    expect(await strict.exited).toMatchObject({ signal: 'SIGKILL', terminationReason: 'pids' })
  })

  test('is paused and goes on', async () => {
    const jail = await jailed(['spin', '1'])
    const usage = async () => (await jail.stats()).cpu.usageUs as number
    await jail.pause()
    const before = await usage()
    await sleep(500)
    expect(await usage()).toBe(before)
    expect(await jail.stats()).toMatchObject({ backend: 'cgroup', cgroup: jail.cgroup, paused: true })
    await jail.resume()
    await expect.poll(usage, { timeout: 60_000 }).toBeGreaterThan(before)
  })

  test('waits for its share of the processor', async () => {
    skipUnless(cpu, 'needs a systemd session that delegates cpu')
    const throttled = async (resources: SandboxConfig['resources']) => {
      const jail = await jailed(['spin', '2'], resources)
      await sleep(3000)
      const { throttledPeriods, throttledUs } = (await jail.stats()).cpu
      jail.kill('SIGKILL')
      return { throttledPeriods, throttledUs }
    }
    const with025 = await throttled(LIMITS)
    expect(with025.throttledPeriods).toBeGreaterThan(5)
    expect(with025.throttledUs).toBeGreaterThan(500_000)
    expect(await throttled({ maxMemory: 64 * MB })).toEqual({ throttledPeriods: 0, throttledUs: 0 })
  })
})

describe('the command line tool, started in a delegated scope', () => {
  const UNIT = `qi-test-${process.pid}.scope`
  const OWN = ['systemd-run', MANAGER, '--scope', '--quiet', '--collect', `--unit=${UNIT}`, '-p', 'Delegate=yes', '--']

  /** Its end, what it printed, and what it recorded. */
  function run(hog: string[]) {
    const folder = mkdtempSync(join(tmpdir(), 'qi-scope-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const [profile, audit] = [join(folder, 'profile.yaml'), join(folder, 'audit.jsonl')]
    writeFileSync(
      profile,
      `name: scoped\npurpose: a group next to its launcher\nextends: strict\ntolerate: [${tolerate.join(', ')}]\n`
    )
    const limited = ['--profile', profile, '--memory', '64MiB', '--pids', '40', '--audit', audit, '--', HOG, ...hog]
    const [file = '', ...words] = [...OWN, process.execPath, at('bin/qi-jail'), ...limited, '--seconds', '500']
    const { status, stdout, stderr } = spawnSync(file, words, { encoding: 'utf8' })
    const parametersOf = (action: string) =>
      readAudit(audit).find(({ event }) => event.action === action)?.context.parameters
    return { status, stdout, stderr, launch: parametersOf('jail.launch'), exit: parametersOf('jail.exit') }
  }

  // A user's own systemd does not mark what it delegates (252): then there is a scope next to that one.
  const GROUP = new RegExp(`/(${UNIT}/qi-jail-[0-9a-f]{8}${isRoot ? '' : '|qi-jail-[0-9a-f]{8}\\.scope/jail'})$`)

  test('has its group there, or asks for another, and leaves nothing', async () => {
    const ended = run(['shared', '512M'])
    expect(ended.launch?.cgroup).toMatch(GROUP)
    expect(ended).toMatchObject({ status: 137, exit: { terminationReason: 'memory' } })
    await expect.poll(() => loaded(UNIT), { timeout: 60_000 }).toBe(false)
    const control = run(['shared', '16M'])
    expect(control).toMatchObject({ status: 0, exit: { terminationReason: 'exit' } })
    expect(control.stdout).toMatch(/OK 16777216$/m)
    await expect.poll(() => loaded(UNIT), { timeout: 60_000 }).toBe(false)
  })
})
