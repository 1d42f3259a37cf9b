import { mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { enosys } from '../launch/driver.js'
import { users } from '../support/user.js'
import { placeOf, run, runKept, shell, start, stateOf, until } from './cli.js'

/** A run that qi-monitor does alone, from a plan made for it or kept, says what a run says that keeps its command line tool. */
describe.each(users)('with and without a host, as %s', (user) => {
  const place = placeOf(user)
  let PATH: string

  beforeAll(async () => {
    // The entry starts this one where it does not start from a kept plan.
    mkdirSync(join(place.home, 'no-node'))
    writeFileSync(join(place.home, 'no-node/node'), '#!/bin/sh\nexit 99\n', { mode: 0o755 })
    PATH = [join(place.home, 'no-node'), process.env.PATH].join(delimiter)
    await new Promise((resolve) => setTimeout(resolve, 60)) // longer than what ObservedFs takes for unsettled
  })

  async function bothWays(args: string[]) {
    const resident = await run(place, args, { PATH, QI_JAIL_RESIDENT: '1' })
    const alone = await run(place, args, { PATH })
    expect(alone).toEqual(resident)
    expect(await runKept(place, args, { PATH })).toEqual(resident)
    return alone
  }
  const sh = (script: string) => ['--', 'sh', '-c', script]

  test('ends and refusals', async () => {
    await bothWays(sh('echo out; echo err >&2; exit 5'))
    await bothWays(['--memory', '64MiB', ...sh('kill -SEGV $$')]).then(({ status, stderr }) => {
      expect(status).toBe(139)
      expect(stderr).toContain('qi-jail: ended by SIGSEGV: if it is the limit of 64 MiB')
    })
    const refused = `unshare -U true; unshare -U true; mount -t tmpfs x /mnt; exit 3`
    expect((await bothWays(sh(refused))).stderr).toMatch(
      /\nqi-jail: 3 calls were refused \(3 system calls\); qi-jail why unshare, with the same options, explains the most frequent\n$/
    )
    const recorded = ['--audit', join(place.home, 'it is.jsonl'), ...sh(refused)]
    expect((await bothWays(recorded)).stderr).toMatch(/; qi-jail why --from '.*it is.jsonl' explains them\n$/)
    const routine = sh('cat /sys/devices/system/cpu/online 2>&-; unshare -U true')
    expect((await bothWays(['--audit-files', 'denied', ...routine])).stderr).toMatch(
      /: 1 call was refused \(1 system call\);/
    )
    const { exit } = JSON.parse((await bothWays(['--json', ...sh('exec 2>&-; unshare -U true; kill $$')])).stderr)
    expect(exit).toMatchObject({ code: null, signal: 'SIGTERM', terminationReason: 'signal', refusals: 1 })
    expect((await bothWays(['--quiet', ...sh('exec 2>&-; mount -t tmpfs x /mnt')])).stderr).toBe('')
  })

  test('launches that fail, before and after qi-monitor has given up its rights', async () => {
    const script = join(place.home, 'late')
    writeFileSync(script, readFileSync('/bin/true').subarray(0, 300), { mode: 0o755 }) // a head without a body
    await new Promise((resolve) => setTimeout(resolve, 60))
    for (const json of [[], ['--json']]) {
      expect((await bothWays([...json, '--ro', script, '--', script])).stderr).toContain('ENOEXEC')
      expect((await bothWays([...json, '--audit', '/dev/full', '--', 'true'])).stderr).toContain('RecordLaunch')
    }
    for (const json of ['', '--json']) {
      const held = `"${enosys}" --listener -- sh -c '"$QI" ${json} -- true; exit $?'` // by sh: qi-jail closes its own
      const below = (resident: string) => shell(place, `${resident} ${held}`)
      const alone = await below('')
      expect(alone.stderr).toMatch(/InstallFilter.*EBUSY.*qi-jail cannot be nested inside it/)
      expect(await below('')).toEqual(alone) // from a kept plan
      expect(await below('QI_JAIL_RESIDENT=1')).toEqual(alone)
    }
    for (const resident of ['', 'QI_JAIL_RESIDENT=1']) {
      const { status, stderr } = await shell(place, `${resident} "$QI" -- true < /`)
      expect({ status, stderr }).toEqual({
        status: 125,
        stderr: expect.stringMatching(/EISDIR.*redirect it from a file/)
      })
    }
  })

  test('nothing of Node stays, and nothing of the environment', async () => {
    const secret = { QI_TEST_TOKEN: 'a-secret-of-the-caller' }
    const { child, says, result } = start(place, sh('echo ready; read line'), secret)
    await says('ready')
    const pid = child.pid as number
    expect(readlinkSync(`/proc/${pid}/exe`)).toMatch(/\/qi-monitor$/)
    expect(readFileSync(`/proc/${pid}/environ`, 'latin1')).not.toContain('a-secret')
    child.stdin?.end()
    expect((await result).status).toBe(1)
    const resident = start(place, sh('echo ready; read line'), { ...secret, QI_JAIL_RESIDENT: '1' })
    await resident.says('ready')
    expect(readFileSync(`/proc/${resident.child.pid}/environ`, 'latin1')).toContain('a-secret')
    resident.child.stdin?.end()
    await resident.result
  })

  test('a process that has children stays what it is, and does not take them for the jail’s', async () => {
    const { status, stdout } = await shell(place, 'sleep 60 > /dev/null 2>&1 & echo $! && exec "$QI" -- true')
    const child = Number(stdout.toString())
    expect(status).toBe(0)
    await until(() => stateOf(child) === 'S', 'the child sleeps')
    process.kill(child)
  })
})
