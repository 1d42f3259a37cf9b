import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { users } from '../support/user.js'
import { placeOf, run, shell } from './cli.js'

const user = users[0] as 'root' | 'plain'
const place = placeOf(user)

/** Flags, the error's code, the field it names. */
const FAULTS: [flags: string[], code: string, field: string | undefined][] = [
  [['--frobnicate'], 'QI_USAGE', '--frobnicate'],
  [['--ro'], 'QI_USAGE', '--ro'],
  [['--profile', 'nope'], 'QI_PROFILE_UNKNOWN', 'profile'],
  [['--profile', './nope.yaml'], 'QI_PROFILE_UNKNOWN', 'profile'],
  [['--ro', '/nowhere/at/all'], 'QI_GRANT_MISSING', '--ro'],
  [['--rw', 'a\nb'], 'QI_PATH', '--rw'],
  [['--ro', '/etc/../root'], 'QI_PATH', '--ro'],
  [['--memory', '0'], 'QI_LIMIT', '--memory'],
  [['--memory', '12XB'], 'QI_LIMIT', '--memory'],
  [['--memory', '99999999999999999999'], 'QI_LIMIT', '--memory'],
  [['--pids', '0'], 'QI_LIMIT', '--pids'],
  [['--pids', '-3'], 'QI_LIMIT', '--pids'],
  [['--pids', 'many'], 'QI_LIMIT', '--pids'],
  [['--timeout', '5 fortnights'], 'QI_LIMIT', '--timeout'],
  [['--env', '=x'], 'QI_ENV', undefined],
  [['--cwd', '/nowhere'], 'QI_CWD', '--cwd'],
  [['--cwd', '/var'], 'QI_CWD', '--cwd'],
  [['--audit', '/nowhere/audit.jsonl'], 'QI_AUDIT_FILE', '--audit'],
  [['--net', '127.1'], 'QI_NETWORK_HOST', '--net'],
  [['--net', 'a.example', '--net', '*.com'], 'QI_NETWORK_HOST', '--net'],
  [['--net', 'a.example:0'], 'QI_NETWORK_HOST', '--net'],
  [['--net', 'localhost'], 'QI_NETWORK_HOST', '--net'],
  [['--deny-host', '*'], 'QI_NETWORK_HOST', '--deny-host'],
  [['--udp', 'a.example'], 'QI_NETWORK_HOST', '--udp'],
  [['--publish', '65536'], 'QI_NETWORK', '--publish'],
  [['--publish', 'http'], 'QI_LIMIT', '--publish'],
  [['--publish', '80', '--allow-loopback', '80'], 'QI_NETWORK', '--publish'],
  [['--allow-loopback', '53'], 'QI_NETWORK', '--allow-loopback'],
  [['--max-connections', '0'], 'QI_LIMIT', '--max-connections'],
  [['--on-denied', 'EPERM'], 'QI_CONFIG', '--on-denied'],
  [['--profile', 'dev', '--deny-host', 'a.example'], 'QI_NETWORK', '--deny-host'],
  [['--profile', 'dev', '--ask'], 'QI_NETWORK', undefined],
  [['--ask', '--ask-timeout', '0s'], 'QI_LIMIT', '--ask-timeout'],
  [['--ask', '--ask-timeout', '1h'], 'QI_LIMIT', '--ask-timeout'],
  [['--id', '../x'], 'QI_CONTROL', undefined]
]

describe('a working directory that cannot be told', () => {
  const WAYS: [what: string, script: string, says: string, remedy: string][] = [
    ['deleted', 'rmdir "$PWD"; "$QI" -- true', 'was deleted', 'a folder that exists'],
    // 22 names of 200 bytes, gone to one by one.
    [
      'too deep',
      `python3 -c 'import os, sys; [(os.mkdir(n), os.chdir(n)) for n in 22 * [200 * "d"]]; os.execv(sys.argv[1], sys.argv[1:])' "$QI" -- true`,
      'has a path longer than the kernel tells',
      'a shorter path'
    ]
  ]
  test.each(WAYS)('%s', async (what, script, says, remedy) => {
    const name = what.replace(' ', '-')
    const command = `mkdir "$HOME/${name}" && cd "$HOME/${name}" && { ${script}; }; status=$?; cd / && rm -rf "$HOME/${name}"; exit $status`
    const { status, stderr } = await shell(place, command)
    expect(stderr).toContain(`qi-jail: QI_CWD: the working directory ${says}`)
    expect(stderr).toContain(remedy)
    expect(status).toBe(125)
  })
})

describe('bad input starts nothing, and says what to change', () => {
  test.each(FAULTS)('%j is %s', async (flags, code, field) => {
    const marker = join(place.home, 'marker')
    const { status, stdout, stderr } = await run(place, ['--json', ...flags, '--', 'touch', marker])
    expect(stderr.trim().split('\n')).toHaveLength(1)
    const { error } = JSON.parse(stderr)
    expect(error.code).toBe(code)
    if (field) expect(error.field).toBe(field)
    expect(status).toBe(125)
    expect(stdout.length).toBe(0)
    expect(existsSync(marker)).toBe(false)
  })

  test('as text it is code, field, value and remedy in a line', async () => {
    const { status, stderr } = await run(place, ['--memory', '12XB', '/bin/true'])
    expect(stderr).toMatch(/^qi-jail: QI_LIMIT: --memory = "12XB": has the unknown unit "XB"; .*\n$/)
    expect(status).toBe(125)
    expect((await run(place, ['--reedonly', 'x'])).stderr).toMatch(
      /^qi-jail: QI_USAGE: unknown option '--reedonly' \(.*\)\n$/
    )
    expect((await run(place, [])).stderr).toMatch(/^qi-jail: QI_COMMAND_MISSING: no command given \(.*\)\n$/)
    expect((await run(place, ['--'])).status).toBe(125)
  })

  test('an unknown key of a profile file is named with its place', async () => {
    const profile = join(place.home, 'mine.yaml')
    writeFileSync(profile, 'name: mine\npurpose: a test\nextends: strict\nresources:\n  maxMemmory: 1GiB\n')
    const { status, stderr } = await run(place, ['--profile', profile, '/bin/true'])
    expect(stderr).toContain('unknown key resources.maxMemmory')
    expect(stderr).toContain('did you mean "maxMemory"?')
    expect(status).toBe(125)
  })

  test('a key of a profile file keeps its name although the flag was given too', async () => {
    const profile = join(place.home, 'theirs.yaml')
    writeFileSync(profile, 'name: theirs\npurpose: a test\nextends: strict\nfilesystem:\n  readOnlyPaths: [/nowhere]\n')
    const { stderr } = await run(place, ['--profile', profile, '--ro', '/etc/hostname', '/bin/true'])
    expect(stderr).toContain('theirs.yaml: filesystem.readOnlyPaths[0]')
  })
})

describe('questions are answered on stdout', () => {
  test('--help', async () => {
    const { status, stdout, stderr } = await run(place, ['--help'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout.toString()).toContain('Examples:\n  qi-jail -- node server.js')
    expect(stdout.toString()).toContain('Exit status:')
    expect((await run(place, ['run', '--help'])).stdout.equals(stdout)).toBe(true)
  })

  test('that cannot be written: an error in a line; to a reader that had enough: none', async () => {
    for (const flag of ['--help', '--dry-run']) {
      const { status, stderr } = await shell(place, `"$QI" ${flag} -- true > /dev/full`)
      expect({ status, stderr }).toEqual({
        status: 125,
        stderr: expect.stringMatching(/^qi-jail: QI_OUTPUT: .*ENOSPC.*\n$/)
      })
      expect((await shell(place, `"$QI" ${flag} -- true | head -c 1`)).stderr).toBe('')
    }
  })

  test('--version', async () => {
    expect((await run(place, ['--version'])).stdout.toString()).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})
