import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { initialPolicy } from '../../src/cli/init.js'
import { parsePolicy } from '../../src/policy/document/parse.js'
import { own, users } from '../support/user.js'
import { onTerminal, placeOf, shell } from './cli.js'

test.each([
  { profile: 'strict', rw: [], net: [] },
  { profile: 'servers/git', rw: ['./a b', '~/x: # y', '$CWD'], net: ['*.example.com', '[2001:db8::1]:443'] }
])('what init writes says what it was told, to our own parser: %j', ({ profile, rw, net }) => {
  const { policy } = parsePolicy(initialPolicy('/w/.qi-jail.yaml', { profile, rw, net }), '/w/.qi-jail.yaml')
  const { filesystem, network, ...written } = policy.sandbox?.profiles?.project ?? {}
  expect(policy.sandbox?.default).toBe('project')
  expect(written).toMatchObject({ extends: profile })
  expect(filesystem?.allowedPaths ?? []).toEqual(rw)
  expect(network?.allowedHosts ?? []).toEqual(net)
})

describe.each(users)('profiles and init, as %s', (user) => {
  const place = placeOf(user)
  let project: string
  let serial = 0

  beforeEach(() => {
    project = join(place.home, `project-${serial++}`)
    mkdirSync(project)
    own(project, user)
  })
  const write = (name: string, text: string) => {
    writeFileSync(join(project, name), text)
    own(join(project, name), user)
  }
  const inProject = (script: string) => shell(place, `cd '${project}' && ${script}`)

  test('list and show tell ours and those of policy files', async () => {
    write(
      '.qi-jail.yaml',
      'sandbox:\n  profiles:\n    mine: {extends: standard, purpose: for us, resources: {maxProcesses: 7}}\n'
    )
    const listed = await inProject('"$QI" profiles list --json')
    const rows = listed.stdout
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(rows).toContainEqual({ name: 'mine', from: join(project, '.qi-jail.yaml'), purpose: 'for us' })
    expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining(['strict', 'standard', 'dev', 'servers/git']))
    const shown = (await inProject('"$QI" profiles show mine')).stdout.toString()
    expect(shown).toMatch(
      /^# mine: for us\n---\n# profiles\/strict\.yaml\n[\s\S]*# profiles\/standard\.yaml\n[\s\S]*maxProcesses: 7\n$/
    )
    const unknown = await inProject('"$QI" profiles show mien')
    expect(unknown.status).toBe(125)
    expect(unknown.stderr).toContain('QI_PROFILE_UNKNOWN: profile "mien" does not exist (did you mean "mine"?)')
  })

  test('validate tells every fault of a profile, and what it extends', async () => {
    write('good.yaml', 'name: good\npurpose: is well\nextends: standard\n')
    write('bad.yaml', 'name: bad\npurpose: is not\nresources:\n  maxMemory: lots\ndevices:\n  pyt: true\n')
    write('lost.yaml', 'name: lost\npurpose: has no base\nextends: nobody\n')
    expect(await inProject('"$QI" profiles validate good.yaml')).toMatchObject({ status: 0, stderr: '' })
    const { status, stdout } = await inProject('"$QI" profiles validate good.yaml bad.yaml lost.yaml')
    expect(status).toBe(1)
    const told = stdout.toString().trim().split('\n')
    expect(told).toHaveLength(3)
    expect(told[0]).toContain(`${project}/bad.yaml:4:14: resources.maxMemory = "lots"`)
    expect(told[1]).toContain(`${project}/bad.yaml:6:3: unknown key devices.pyt`)
    expect(told[2]).toContain('QI_PROFILE_UNKNOWN')
  })

  test('init writes once by flags, whole, and what it wrote holds when it is trusted', async () => {
    const file = join(project, '.qi-jail.yaml')
    const init = '"$QI" init --profile strict --rw ./out'
    expect(await inProject(`mkdir out && ${init}`)).toMatchObject({ status: 0, stderr: '' })
    const launch = `"$QI" -- sh -c 'echo x >${project}/out/new && echo wrote'`
    expect((await inProject(launch)).stderr).toContain('QI_POLICY_WIDENS')
    await inProject('"$QI" policy trust')
    expect((await inProject(launch)).stdout.toString()).toBe('wrote\n')
    const before = readFileSync(file, 'utf8')
    const again = await inProject('"$QI" init --profile standard')
    expect(again.status).toBe(125)
    expect(again.stderr).toContain('is there already (qi-jail init --force')
    expect(readFileSync(file, 'utf8')).toBe(before)
    expect((await inProject('"$QI" init --profile standard --force')).status).toBe(0)
    expect(readFileSync(file, 'utf8')).toContain('extends: standard\n')
    expect(readdirSync(project).sort()).toEqual(['.qi-jail.yaml', 'out'])
  })

  test('init writes nothing through a link, for no wrong answer, and nowhere that is not read', async () => {
    const [file, target] = [join(project, '.qi-jail.yaml'), join(project, 'target')]
    for (const [flags, told] of [
      ['--net "a b"', '--net'],
      ['--profile nobody', 'QI_PROFILE_UNKNOWN'],
      ['--profile ./mine.yaml', '--profile']
    ]) {
      expect((await inProject(`"$QI" init ${flags}`)).stderr).toContain(told)
      expect(existsSync(file)).toBe(false)
    }
    symlinkSync(target, file)
    expect((await inProject('"$QI" init')).stderr).toContain('is there already')
    expect((await inProject('"$QI" init --force')).status).toBe(0)
    expect(existsSync(target)).toBe(false)
    expect(lstatSync(file).mode & 0o7777).toBe(0o644)
    expect((await shell(place, '"$QI" init')).stderr).toContain('QI_POLICY_FILE')
  })

  test('on a terminal init asks three questions, each until its answer can be used', async () => {
    const { child, says, result } = onTerminal(place, `cd '${project}' && "$QI" init`)
    await says('Which profile')
    child.stdin?.write('nobody\n')
    await says('does not exist')
    child.stdin?.write('standard\n')
    await says('it may write')
    child.stdin?.write('./out, ~/notes\n')
    await says('it may reach')
    child.stdin?.write('api.example.com:443\n')
    expect((await result).status).toBe(0)
    const { policy } = parsePolicy(readFileSync(join(project, '.qi-jail.yaml'), 'utf8'), 'it')
    expect(policy.sandbox?.profiles?.project).toMatchObject({
      extends: 'standard',
      filesystem: { allowedPaths: ['./out', '~/notes'] },
      network: { allowedHosts: ['api.example.com:443'] }
    })
  })
})
