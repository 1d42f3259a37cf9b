import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { own, users } from '../support/user.js'
import { type Place, placeOf, run, shell, start } from './cli.js'

const json = (text: Buffer) =>
  text
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

/** A folder for control sockets that no other jail is in. */
function runtimeOf({ home, user }: Place, name: string): { XDG_RUNTIME_DIR: string } {
  const folder = join(home, name)
  mkdirSync(folder, { mode: 0o700 })
  own(folder, user)
  return { XDG_RUNTIME_DIR: folder }
}

describe.each(users)('limits of a run, as %s', (user) => {
  const place = placeOf(user)

  test('a run is seen, stopped, let go on and ended from outside', async () => {
    const runtime = runtimeOf(place, 'seen')
    const running = start(place, ['--id', 'seen', '--memory', '99MiB', '--', 'sh', '-c', 'echo up; sleep 60'], runtime)
    await running.says('up')
    const verb = async (...args: string[]) => run(place, args, runtime)
    await expect.poll(async () => (await verb('ps')).stdout.toString(), { timeout: 20_000 }).toContain('  seen  ')
    const mine = json((await verb('ps', '--json')).stdout).find(({ id }) => id === 'seen')
    expect(mine).toMatchObject({ profile: 'strict', stats: { paused: false, memory: { limit: 99 << 20 } } })
    const [stats] = json((await verb('stats', 'seen', '--json')).stdout)
    expect(stats.processes.current).toBeGreaterThanOrEqual(1)
    expect(stats.memory.current).toBeGreaterThan(0)
    expect((await verb('stats', 'seen')).stdout.toString()).toMatch(/^ {2}memory +.* of 99 MiB/m)
    expect((await verb('top', 'seen')).stdout.toString()).toMatch(/^ {2}ID .*\n {2}seen .*% .*\n$/)
    expect(await verb('ctl', 'seen', 'pause')).toMatchObject({ status: 0, stderr: '' })
    expect(json((await verb('stats', 'seen', '--json')).stdout)).toMatchObject([{ paused: true }])
    expect(await verb('ctl', 'seen', 'resume', '--json')).toMatchObject({ status: 0 })
    expect(json((await verb('stats', 'seen', '--json')).stdout)).toMatchObject([{ paused: false }])
    expect((await verb('ctl', 'seen', 'kill')).status).toBe(0)
    expect((await running.result).status).toBe(137)
    expect((await verb('stats', 'seen')).stderr).toMatch(/^qi-jail: QI_CONTROL: no jail with the id "seen" runs/)
  })

  test('too much memory ends it, with the reason; as much as is allowed does not', async () => {
    const fill = (size: string) => [
      '--memory',
      '48MiB',
      '--',
      'sh',
      '-c',
      `head -c ${size} /dev/zero > /tmp/f; echo full`
    ]
    const fits = await run(place, fill('8M'))
    expect(fits).toMatchObject({ status: 0, stderr: '' })
    expect(fits.stdout.toString()).toBe('full\n')
    const over = await run(place, ['--json', ...fill('200M')])
    expect(over.status).toBe(137)
    expect(JSON.parse(over.stderr)).toMatchObject({ exit: { terminationReason: 'memory' } })
    expect((await run(place, fill('200M'))).stderr).toMatch(
      /^qi-jail: ended: memory limit 48 MiB, peak \d+ MiB \(.*\)\n$/
    )
  })

  test('--tmp-size is the size of the tmp', async () => {
    const args = [
      '--tmp-size',
      '2MiB',
      '--',
      'sh',
      '-c',
      'head -c 1M /dev/zero > /tmp/a && head -c 4M /dev/zero > /tmp/b'
    ]
    const { status, stderr } = await run(place, args)
    expect(status).not.toBe(0)
    expect(stderr).toContain('No space left')
  })

  test('what cannot be meant is refused in the words of the flags', async () => {
    const refused = async (...flags: string[]) => (await run(place, [...flags, '--', 'true'])).stderr
    expect(await refused('--memory', '1MB', '--memory-threshold', '2MB')).toMatch(
      /^qi-jail: QI_LIMIT: --memory-threshold = 2000000: is not below --memory = 1000000/
    )
    expect(await refused('--cpu', '0%')).toMatch(/^qi-jail: QI_LIMIT: --cpu = "0%": must be greater than 0/)
    expect(await refused('--grace', 'soon')).toMatch(/^qi-jail: QI_LIMIT: --grace = "soon": is not milliseconds/)
    expect(await refused('--io-read', '0')).toMatch(/^qi-jail: QI_LIMIT: --io-read = "0"/)
    expect(await refused('--cpu', '50%', '--no-cgroup')).toMatch(
      /^qi-jail: QI_LIMIT_UNSUPPORTED: --cpu = 0.5: .*--no-cgroup/
    )
  })

  test('doctor says whether the default profile launches, and what a limit would come to', async () => {
    const { status, stdout, stderr } = await run(place, ['doctor', '--json'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const [told] = json(stdout)
    expect(told).toMatchObject({ ok: true, profile: 'strict', launch: { ok: true } })
    expect(told.limits.map(({ name }: { name: string }) => name)).toEqual([
      'memoryLimit',
      'cpuLimit',
      'processLimit',
      'ioLimit',
      'wallClock'
    ])
    const text = (await run(place, ['doctor'])).stdout.toString()
    for (const title of ['host', 'cgroup', 'protections of strict', 'limits, where they are asked for', 'launch'])
      expect(text).toContain(`\n${title}\n`)
    // In the home folder, which no profile lets be written; then where people work.
    expect(text).toMatch(/\n {2}launches here +no +no +yes\n/)
    const there = (await shell(place, 'mkdir project && cd project && "$QI" doctor')).stdout.toString()
    expect(there).toMatch(/\nprofiles\n +dev +standard +strict\n {2}launches here +yes +yes +yes\n/)
    expect(there).toMatch(/\n {2}networkNamespace +off +enforced +enforced\n/)
    expect(there).toMatch(/\nid-mapped mounts of the file system at\n {2}\/\S+ +\S+ +(yes|not needed)\n/)
    const one = await shell(place, 'cd project && "$QI" doctor --profile dev')
    expect(one).toMatchObject({ status: 0, stderr: '' })
    expect(one.stdout.toString()).toContain('\nprotections of dev\n')
    expect(one.stdout.toString()).not.toContain('\nprofiles\n')
    const unknown = await run(place, ['doctor', '--profile', 'nonesuch'])
    expect(unknown).toMatchObject({ status: 125, stderr: expect.stringContaining('QI_PROFILE_UNKNOWN') })
  })
})
