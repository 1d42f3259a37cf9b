import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { skipUnless } from '../support/skip.js'
import { own, users } from '../support/user.js'
import { placeOf, readAudit, run, runOnce, shell } from './cli.js'

describe.each(users)('qi-jail run by %s', (user) => {
  const place = placeOf(user)
  const inHome = (name: string) => join(place.home, name)
  const file = (name: string, content: string) => {
    writeFileSync(inHome(name), content)
    own(inHome(name), user)
    return inHome(name)
  }

  test.each([
    [['--', '/bin/true'], 0],
    [['/bin/sh', '-c', 'exit 42'], 42],
    [['run', '--', '/bin/sh', '-c', 'exit 255'], 255],
    [['/bin/sh', '-c', 'kill -TERM $$'], 143],
    [['/bin/sh', '-c', 'kill -KILL $$'], 137],
    [['/nowhere/tool'], 127],
    [['no-such-tool'], 127],
    [['/etc/passwd'], 126],
    [['/etc'], 126]
  ])('%j ends with %i', async (args, status) => {
    const result = await run(place, args)
    expect(result).toMatchObject({ status, signal: null })
    expect(result.stdout.toString()).toBe('')
  })

  test('events that could not be written are told', () => {
    skipUnless(user === 'root', 'needs root')
    // One page for the audit file, in a mount namespace of its own: enough for the launch, not for what is refused then.
    const folder = join(place.home, 'small')
    const acts = 'for i in 1 2 3 4 5 6 7 8 9; do : > /tmp/$i; chmod 4755 /tmp/$i 2>/dev/null; done'
    const script = `mkdir ${folder} && mount -t tmpfs -o size=4k none ${folder} && exec "$0" --audit ${folder}/audit -- sh -c '${acts}; :'`
    const { status, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', script, join(place.root, 'bin/qi-jail')], {
      encoding: 'utf8'
    })
    expect({ status, stderr }).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/\d+ events could not be written/)
    })
  })

  test('stdout and stdin are the command’s, byte for byte', async () => {
    const input = randomBytes(3_000_000)
    const result = await run(place, ['--', 'cat'], {}, input)
    expect(result.stdout.equals(input)).toBe(true)
    expect(result).toMatchObject({ status: 0, stderr: '' })
  })

  test('options end at the command', async () => {
    const args = ['--quiet', 'printf', '%s|', '--json', '--', '-v', '--ro', '', 'run']
    expect((await run(place, args)).stdout.toString()).toBe('--json|--|-v|--ro||run|')
  })

  test('arguments and variables that are not UTF-8 arrive as they are', async () => {
    const script = `exec "$QI" --env X -- sh -c 'printf "%s %s" "$1" "$X"' sh "$(printf 'a\\377\\376z')"`
    const env = await shell(place, `X=$(printf '\\200\\377'); export X; ${script}`)
    expect(env.stdout.toString('latin1')).toBe('a\xff\xfez \x80\xff')
  })

  test('only named variables arrive', async () => {
    const secrets = { TOKEN: 'hidden', NAMED: 'passed' }
    const args = ['--env', 'NAMED', '--env', 'SET=a=b', '--env', 'ABSENT', '--', 'env']
    const lines = (await run(place, args, secrets)).stdout.toString().trim().split('\n')
    expect(lines.map((line) => line.split('=')[0]).sort()).toEqual(['HOME', 'NAMED', 'PATH', 'SET', 'TMPDIR'])
    expect(lines).toContain('SET=a=b')
    expect(lines).toContain('NAMED=passed')
  })

  test('--ro reads, --rw writes, --deny hides', async () => {
    const seen = file('seen', 'content')
    expect((await run(place, ['cat', seen])).status).toBe(1)
    expect((await run(place, ['--ro', seen, 'cat', seen])).stdout.toString()).toBe('content')
    expect((await run(place, ['--ro', seen, 'sh', '-c', `echo x > ${seen}`])).status).not.toBe(0)
    expect((await run(place, ['--rw', seen, 'sh', '-c', `printf new > ${seen}`])).status).toBe(0)
    expect(readFileSync(seen, 'utf8')).toBe('new')
    expect((await run(place, ['--ro', place.home, '--deny', seen, 'cat', seen])).status).toBe(1)
  })

  test('--cwd, --memory, --pids and --timeout hold', async () => {
    expect((await run(place, ['--ro', '.', '--cwd', '.', 'pwd'])).stdout.toString()).toBe(`${place.home}\n`)
    expect((await run(place, ['--memory', '64MiB', '--pids', '7', 'sh', '-c', 'ulimit -d'])).stdout.toString()).toBe(
      '65536\n'
    )
    const late = await run(place, ['--timeout', '200ms', 'sleep', '30'])
    expect(late).toMatchObject({ status: 143, stderr: 'qi-jail: stopped: the time limit of 200ms is over\n' })
  })

  test('refusals are told on stderr, in one line, and not with --quiet', async () => {
    const refused = await run(place, ['unshare', '-U', 'true'])
    expect(refused.stderr).toMatch(
      /^unshare: .*\nqi-jail: 1 call was refused \(1 system call\); qi-jail why unshare, with the same options, explains it\n$/
    )
    expect((await run(place, ['--quiet', 'unshare', '-U', 'true'])).stderr).not.toContain('qi-jail')
    const json = await run(place, ['--json', 'unshare', '-U', 'true'])
    const last = JSON.parse(json.stderr.trim().split('\n').pop() as string)
    expect(last).toMatchObject({ exit: { code: 1, signal: null, terminationReason: 'exit', refusals: 1 } })
  })

  test('refused files are told in the same line, where they are observed', async () => {
    const denied = inHome('denied')
    writeFileSync(denied, 'x')
    own(denied, user)
    const of = async (...flags: string[]) => (await run(place, [...flags, 'cat', denied])).stderr
    expect(await of('--audit-files', 'denied')).toMatch(
      /\nqi-jail: 1 call was refused \(1 file access\); qi-jail why \/\S+\/denied, with the same options, explains it\n$/
    )
    expect(await of()).not.toContain('qi-jail:')
    expect(await of('--audit-files', 'denied', '--ro', denied)).toBe('')
  })

  test('what a runtime reads of the machine at every start is recorded, and no word is lost on it', async () => {
    const [audit, denied] = [inHome('routine.jsonl'), inHome('denied')]
    writeFileSync(denied, 'x')
    own(denied, user)
    const read = (path: string) => run(place, ['--audit', audit, '--', 'cat', path])
    expect((await read('/sys/devices/system/cpu/online')).stderr).not.toContain('qi-jail:')
    const recorded = readAudit(readFileSync(audit)).filter(({ event }) => event.action === 'file.read')
    expect(recorded.map(({ context }) => context.parameters?.path)).toContain('/sys/devices/system/cpu/online')
    expect((await read(denied)).stderr).toMatch(/\nqi-jail: 1 call was refused \(1 file access\)/)
  })

  test('--audit FILE appends whole lines of the published shape', async () => {
    const audit = inHome('audit.jsonl')
    for (let i = 0; i < 2; i++) await runOnce(place, ['--audit', audit, '--', 'unshare', '-U', 'true'])
    const actions = readAudit(readFileSync(audit)).map(({ event }) => event.action)
    const each = ['jail.launch', 'syscall.refused', 'jail.exit']
    expect(actions).toEqual([...each, ...each])
  })

  test('--audit - writes to stderr', async () => {
    const { stderr, stdout } = await run(place, ['--quiet', '--audit', '-', '--', '/bin/true'])
    expect(readAudit(stderr).map(({ event }) => event.action)).toEqual(['jail.launch', 'jail.exit'])
    expect(stdout.length).toBe(0)
  })

  test.each(['<&-', '>&-', '2>&-', '<&- >&-', '<&- >&- 2>&-'])('works with %s', async (closed) => {
    const { status, stdout } = await shell(place, `"$QI" -- sh -c 'cat; echo out; echo err >&2; exit 5' ${closed}`)
    expect(status).toBe(5)
    expect(stdout.toString()).toBe(/(^| )>&-/.test(closed) ? '' : 'out\n')
  })

  test('--dry-run shows everything and runs nothing', async () => {
    const seen = file('shown', 'x')
    const args = ['--ro', seen, '--env', 'TOKEN', '--rw', `${place.home}/none?`]
    const marker = inHome('marker')
    const command = ['--', 'sh', '-c', `touch ${marker}`]
    const text = (await run(place, ['--dry-run', ...args, ...command], { TOKEN: 'hidden' })).stdout.toString()
    for (const title of ['profile   strict:', 'command   sh -c', 'grants', 'protections', 'limits', 'plan', 'TOKEN']) {
      expect(text).toContain(title)
    }
    expect(text).toMatch(new RegExp(`ro +${seen} +--ro\\n`))
    expect(text).not.toContain('hidden')
    expect(existsSync(marker)).toBe(false)
    const told = JSON.parse((await run(place, ['--dry-run', '--json', ...args, ...command])).stdout.toString())
    expect(Object.keys(told).sort()).toMatchInlineSnapshot(`
      [
        "audit",
        "command",
        "denies",
        "devices",
        "env",
        "files",
        "grants",
        "hostname",
        "identity",
        "limits",
        "mediation",
        "network",
        "notes",
        "plan",
        "policyFiles",
        "profile",
        "protections",
        "settings",
        "symlinks",
        "tempDirectory",
        "tolerate",
        "unixSockets",
      ]
    `)
    expect(
      told.protections.every(({ state }: { state: string }) => ['enforced', 'degraded', 'off'].includes(state))
    ).toBe(true)
  })

  test('-v and QI_LOG log to stderr, as JSON lines', async () => {
    const { stderr, stdout } = await run(place, ['-v', '/bin/true'])
    const lines = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ msg }) => msg)).toEqual(expect.arrayContaining(['resolved', 'launched', 'ended']))
    expect(stdout.length).toBe(0)
    expect((await run(place, ['/bin/true'], { QI_LOG: 'error' })).stderr).toBe('')
  })
})
