// security.global.enforcement_mode of the policy files, end to end: a run without a jail, loud and recorded; and permissive.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { own, users } from '../support/user.js'
import { placeOf, readAudit, run, runOnce, shell, start } from './cli.js'

describe.each(users)('enforcement_mode, as %s', { timeout: 600_000 }, (user) => {
  const place = placeOf(user)
  let outside: string
  let userFile: string

  const write = (path: string, text: string) => {
    const folder = join(path, '..')
    mkdirSync(folder, { recursive: true })
    for (let at = folder; at.startsWith(place.home); at = join(at, '..')) own(at, user)
    writeFileSync(path, text)
    own(path, user)
  }
  const mode = (written: string) => write(userFile, `security:\n  global:\n    enforcement_mode: ${written}\n`)
  const origin = () => `${userFile}:3:23: security.global.enforcement_mode`
  beforeEach(() => {
    userFile = join(place.home, '.config/qi-jail/policy.yaml')
    outside = join(place.home, 'outside')
    write(outside, 'content\n')
    mode('disabled')
  })

  test('disabled runs the command as it is, and says so although told to be quiet', async () => {
    const script = `cat '${outside}'; echo more >>'${outside}'; echo error >&2; exit 7`
    const bare = await runOnce(place, ['--quiet', '--', 'sh', '-c', script])
    expect(bare.stdout.toString()).toBe('content\n')
    expect(bare.status).toBe(7)
    expect(bare.stderr).toBe(
      `qi-jail: WARNING: NO JAIL: ${origin()} = "disabled": sh runs with all your rights\nerror\n`
    )
    expect(readFileSync(outside, 'utf8')).toBe('content\nmore\n')
    mode('strict')
    const jailed = await run(place, ['--quiet', '--', 'sh', '-c', script])
    expect(jailed.stdout.toString()).toBe('')
    expect(jailed.stderr).not.toContain('WARNING')
    expect(readFileSync(outside, 'utf8')).toBe('content\nmore\n')
  })

  test('process, signals and what is ignored are those of a bare run', async () => {
    const { child, result } = start(place, [
      '--',
      'sh',
      '-c',
      'echo $$; grep -E "Sig(Ign|Blk)" /proc/self/status; kill -TERM $$'
    ])
    const { status, signal, stdout } = await result
    expect({ status, signal }).toEqual({ status: null, signal: 'SIGTERM' })
    const none = '0000000000000000'
    expect(stdout.toString()).toBe(`${child.pid}\nSigBlk:\t${none}\nSigIgn:\t${none}\n`)
  })

  test('the soft limit of open files is the caller’s, not what Node made of it', async () => {
    const of = async (limit: string) =>
      (await shell(place, `ulimit -Sn ${limit}; "$QI" -- sh -c 'ulimit -Sn; ulimit -Hn'; ulimit -Hn`)).stdout.toString()
    const [soft, hard, own] = (await of('200')).trim().split('\n')
    expect([soft, hard]).toEqual(['200', own])
    // The control: what is raised already stays.
    expect((await of('$(ulimit -Hn)')).split('\n')[0]).toBe(own)
  })

  test('arguments and variables arrive, also those that are no UTF-8; cwd and env of flags hold', async () => {
    const script =
      'ODD="$(printf "o\\377d")" "$QI" --env SET=value --cwd / -- sh -c \'printf "%s|%s|%s|%s" "$1" "$ODD" "$SET" "$PWD"\' sh "$(printf "a\\376b")"'
    const { stdout } = await shell(place, script)
    expect(stdout.toString('latin1')).toBe('a\xfeb|o\xffd|value|/')
  })

  test('with --json the warning is one object, and the audit file has one event', async () => {
    const audit = join(place.home, 'audit.jsonl')
    const { stderr, stdout } = await runOnce(place, ['--json', '--audit', audit, '--', 'echo', 'ran'])
    expect(stdout.toString()).toBe('ran\n')
    expect(JSON.parse(stderr)).toEqual({
      warning: {
        code: 'QI_POLICY_DISABLED',
        origin: origin(),
        command: expect.stringMatching(/\/echo$/),
        message: expect.stringContaining('NO JAIL')
      }
    })
    const events = readAudit(readFileSync(audit))
    expect(events.map(({ event }) => event)).toEqual([
      { category: 'config', action: 'jail.disabled', outcome: 'success', severity: 'critical' }
    ])
    expect(events[0]?.context.parameters).toEqual({ origin: origin(), commandLine: 'echo ran' })
  })

  test('nothing runs that cannot be recorded, found or executed', async () => {
    const made = join(place.home, 'made')
    const unrecorded = await run(place, ['--audit', join(place.home, 'none/audit'), '--', 'touch', made])
    expect(unrecorded.stderr).toContain('QI_AUDIT_FILE')
    expect(unrecorded.status).toBe(125)
    expect(existsSync(made)).toBe(false)
    expect((await run(place, ['--', 'no-such-command-here'])).status).toBe(127)
    expect((await run(place, ['--', place.home])).status).toBe(126)
    expect((await run(place, ['--', 'touch', made])).status).toBe(0)
    expect(existsSync(made)).toBe(true)
  })

  test("a project's file turns no jail off, until its content is trusted; it may turn one on", async () => {
    const project = join(place.home, 'project')
    const file = join(project, '.qi-jail.yaml')
    write(join(project, '.git/HEAD'), '')
    const inProject = (script: string) => shell(place, `cd '${project}' && ${script}`)
    const reads = `"$QI" -- cat '${outside}'`
    const document = (written: string) => `security:\n  global:\n    enforcement_mode: ${written}\n`
    write(file, document('strict'))
    expect((await inProject(reads)).stdout.toString()).toBe('')
    mode('strict')
    write(file, document('disabled'))
    const refused = await inProject(reads)
    expect(refused.stderr).toContain(`QI_POLICY_WIDENS: ${file}:3:23: security.global.enforcement_mode = "disabled"`)
    expect(refused).toMatchObject({ status: 125, stdout: Buffer.alloc(0) })
    await inProject('"$QI" policy trust')
    expect((await inProject(reads)).stdout.toString()).toBe('content\n')
    await inProject('"$QI" policy untrust')
  })

  test('flags have the last word', async () => {
    for (const flag of ['--no-policy', '--permissive']) {
      const { stdout, stderr } = await run(place, [flag, '--quiet', '--', 'sh', '-c', `cat '${outside}' || echo kept`])
      expect([flag, stdout.toString()]).toEqual([flag, 'kept\n'])
      expect(stderr).not.toContain('NO JAIL')
    }
  })

  test('dry-run, explain, why and doctor say that there is no jail', async () => {
    for (const args of [['--dry-run', '--', 'true'], ['explain'], ['why', '/etc/shadow']]) {
      const { stdout, status } = await run(place, args)
      expect(stdout.toString()).toBe(`NO JAIL  ${origin()} = "disabled": the command runs without a jail\n`)
      expect(status).toBe(0)
      const told = await run(place, [args[0] as string, '--json', ...args.slice(1)])
      expect(JSON.parse(told.stdout.toString())).toMatchObject({ enforcement: 'disabled', origin: origin() })
    }
    const off = await run(place, ['doctor', '--json'])
    expect(off.status).toBe(1)
    expect(JSON.parse(off.stdout.toString())).toMatchObject({ ok: false, policy: expect.stringContaining(origin()) })
    mode('strict')
    expect(JSON.parse((await run(place, ['doctor', '--json'])).stdout.toString()).policy).toBeUndefined()
  })

  test('permissive is permissive', async () => {
    const audit = join(place.home, 'permissive.jsonl')
    const look = async (written: string) => {
      mode(written)
      return runOnce(place, ['--audit', audit, '--', 'sh', '-c', 'test -d /var/tmp && echo seen || echo not there'])
    }
    expect((await look('permissive')).stdout.toString()).toBe('seen\n')
    expect((await look('strict')).stdout.toString()).toBe('not there\n')
    const launches = readAudit(readFileSync(audit)).filter(({ event }) => event.action === 'jail.launch')
    expect(launches.map(({ context }) => context.parameters?.enforcement)).toEqual(['permissive', 'strict'])
  })
})
