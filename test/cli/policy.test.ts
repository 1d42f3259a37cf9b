import { chmodSync, chownSync, copyFileSync, mkdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { own, users } from '../support/user.js'
import { placeOf, run, shell } from './cli.js'

describe.each(users)('policy files, as %s', (user) => {
  const place = placeOf(user)
  let project: string
  let serial = 0

  const write = (path: string, text: string, mode = 0o644) => {
    mkdirSync(join(path, '..'), { recursive: true })
    for (let at = join(path, '..'); at.startsWith(place.home); at = join(at, '..')) own(at, user)
    writeFileSync(path, text)
    own(path, user)
    chmodSync(path, mode)
  }
  beforeEach(() => {
    project = join(place.home, `project-${serial++}`)
    write(join(project, 'data/a'), 'content of a\n')
    write(join(project, 'secret/b'), 'content of b\n')
    write(join(project, '.git/HEAD'), '')
    write(
      join(place.home, '.config/qi-jail/policy.yaml'),
      'sandbox:\n  profiles:\n    mine: {extends: standard}\n  default: mine\n'
    )
  })
  const inProject = (script: string) => shell(place, `cd '${project}' && ${script}`)
  const policy = (text: string) => write(join(project, '.qi-jail.yaml'), text)

  test("the user's file picks the profile, and --no-policy reads none", async () => {
    expect((await inProject('"$QI" -- sh -c "echo x >data/new && cat data/a"')).stdout.toString()).toBe(
      'content of a\n'
    )
    const { status, stderr } = await inProject('"$QI" --no-policy -- sh -c "cat data/a"')
    expect(stderr).toContain('No such file')
    expect(status).toBe(1)
  })

  test("a project's file narrows", async () => {
    policy(
      'sandbox:\n  profiles:\n    mine:\n      filesystem:\n        readOnlyPaths: [.]\n        allowedPaths: [./data]\n        deniedPaths: [./secret/**]\n'
    )
    const { stdout, stderr } = await inProject(
      '"$QI" -- sh -c "cat data/a; echo x >data/new && echo wrote; echo x >new || echo kept; cat secret/b || echo hidden"'
    )
    expect(stdout.toString()).toBe('content of a\nwrote\nkept\nhidden\n')
    expect(stderr).toMatch(/Read-only|Permission denied/)
  })

  test('one that widens starts nothing until its exact content is trusted', async () => {
    write(join(place.home, 'outside/c'), 'content of c\n')
    const widens = 'sandbox:\n  profiles:\n    mine:\n      filesystem:\n        readOnlyPaths: [~/outside]\n'
    policy(widens)
    const launch = '"$QI" -- cat ~/outside/c'
    const refused = await inProject(launch)
    expect(refused.status).toBe(125)
    expect(refused.stdout.toString()).toBe('')
    expect(refused.stderr).toContain(`QI_POLICY_WIDENS: ${project}/.qi-jail.yaml:5:25: `)
    expect(refused.stderr).toContain(`qi-jail policy trust ${project}/.qi-jail.yaml`)

    expect((await inProject('"$QI" policy trust')).stdout.toString()).toContain('trusted as it is now')
    expect((await inProject('"$QI" policy status')).stdout.toString()).toMatch(/project .*trusted: widens/)
    expect((await inProject(launch)).stdout.toString()).toBe('content of c\n')

    policy(`${widens}# changed\n`)
    expect((await inProject(launch)).stderr).toContain('QI_POLICY_WIDENS')
    policy(widens)
    expect((await inProject(launch)).stdout.toString()).toBe('content of c\n')
    expect((await inProject('"$QI" policy untrust')).status).toBe(0)
    expect((await inProject(launch)).stderr).toContain('QI_POLICY_WIDENS')
  })

  test('trust does not follow a link out of another project', async () => {
    write(join(place.home, 'outside/c'), 'content of c\n')
    policy('sandbox:\n  profiles:\n    mine:\n      filesystem:\n        readOnlyPaths: [~/outside]\n')
    expect((await inProject('"$QI" policy trust')).status).toBe(0)
    const launch = '"$QI" -- cat ~/outside/c'
    expect((await inProject(launch)).stdout.toString()).toBe('content of c\n')

    const other = join(place.home, `other-${serial}`)
    write(join(other, '.git/HEAD'), '')
    symlinkSync(join(project, '.qi-jail.yaml'), join(other, '.qi-jail.yaml'))
    const inOther = (script: string) => shell(place, `cd '${other}' && ${script}`)
    expect((await inOther(launch)).stderr).toContain(`QI_POLICY_WIDENS: ${other}/.qi-jail.yaml:5:25: `)
    expect((await inOther('"$QI" policy trust')).stderr).toContain('QI_POLICY_TRUST')
    // A copy is a file of its own, and a link on the way to the project is none in it.
    unlinkSync(join(other, '.qi-jail.yaml'))
    copyFileSync(join(project, '.qi-jail.yaml'), join(other, '.qi-jail.yaml'))
    own(join(other, '.qi-jail.yaml'), user)
    expect((await inOther(launch)).stderr).toContain('QI_POLICY_WIDENS')
    symlinkSync(other, `${other}-link`)
    expect(
      (await inOther(`"$QI" policy trust '${other}-link/.qi-jail.yaml' && ${launch}`)).stdout.toString()
    ).toContain('content of c\n')
  })

  test('a list of trusted files that others could have written does not count', async () => {
    write(join(place.home, 'outside/c'), 'content of c\n')
    policy('sandbox:\n  profiles:\n    mine:\n      filesystem:\n        readOnlyPaths: [~/outside]\n')
    await inProject('"$QI" policy trust')
    chmodSync(join(place.home, '.local/state/qi-jail/trusted'), 0o666)
    expect((await inProject('"$QI" -- cat ~/outside/c')).stderr).toContain('QI_POLICY_WIDENS')
    expect((await inProject('"$QI" policy status')).stdout.toString()).toContain('does not count')
    chmodSync(join(place.home, '.local/state/qi-jail/trusted'), 0o600)
    expect((await inProject('"$QI" -- cat ~/outside/c')).stdout.toString()).toBe('content of c\n')
    await inProject('"$QI" policy untrust')
  })

  test("the user's own file must be nobody else's to write", async () => {
    const file = join(place.home, '.config/qi-jail/policy.yaml')
    chmodSync(file, 0o664)
    const refused = await run(place, ['--', 'true'])
    expect(refused.stderr).toContain(
      `QI_POLICY_FILE: ${file}: ${file} can be written by others (mode 0664) (chmod go-w`
    )
    expect(refused.status).toBe(125)
    chmodSync(file, 0o644)
    expect((await run(place, ['--no-policy', '--', 'true'])).status).toBe(0)
  })

  test.runIf(process.getuid?.() === 0)('nor may it belong to another user', async () => {
    const file = join(place.home, '.config/qi-jail/policy.yaml')
    chownSync(file, 54321, 54321)
    const { stderr } = await run(place, ['--', 'true'])
    expect(stderr).toContain(`${file} belongs to uid 54321`)
    own(file, user)
    if (user === 'root') chownSync(file, 0, 0)
    expect((await run(place, ['--no-policy', '--', 'true'])).status).toBe(0)
  })

  test('a payload that may write the project can write no policy, trust nothing and shadow no file', async () => {
    policy('sandbox:\n  default: mine\n')
    const { stdout } = await inProject(
      '"$QI" -- sh -c "echo x >>.qi-jail.yaml || echo kept; cd data && echo x >a && echo wrote"'
    )
    expect(stdout.toString()).toBe('kept\nwrote\n')
    const nested = await shell(
      place,
      `cd '${project}/data' && "$QI" --rw '${project}' -- sh -c "echo x >.qi-jail.yaml || echo kept; echo x >c && echo wrote"`
    )
    expect(nested.stdout.toString()).toBe('kept\nwrote\n')
  })

  test('servers, tools and flags pick', async () => {
    const file = join(place.home, 'more.yaml')
    write(
      file,
      'servers:\n  reader: {command: cat, profile: strict}\nsecurity:\n  tools:\n    tool_specific:\n      files: {allowed_paths: ["./data/**"]}\n'
    )
    const name = async (flags: string) =>
      JSON.parse((await inProject(`"$QI" --dry-run --json --policy ${file} ${flags}`)).stdout.toString())
    expect((await name('-- cat data/a')).profile.name).toBe('strict')
    expect((await name('-- ls')).profile.name).toBe('mine')
    expect((await name('--server reader -- ls')).profile.name).toBe('mine')
    expect((await name('--profile dev -- cat data/a')).profile.name).toBe('dev')
    const tool = await name('--profile strict --tool files -- ls')
    expect(tool.grants.find((g: { access: string }) => g.access === 'rw')).toMatchObject({
      path: `${project}/data`,
      origin: `${file}:6:31: security.tools.tool_specific.files.allowed_paths[0]`
    })
    expect((await inProject(`"$QI" --policy ${file} --tool fils -- ls`)).stderr).toContain('did you mean "files"?')
  })

  test('validate tells every fault at its place', async () => {
    policy('sandbox:\n  defalt: x\nservers:\n  a: {comand: x}\n')
    const { status, stdout } = await inProject('"$QI" policy validate')
    expect(stdout.toString().split('\n')).toHaveLength(4)
    expect(stdout.toString()).toContain(`.qi-jail.yaml:2:3: unknown key sandbox.defalt (did you mean "default"?)`)
    expect(stdout.toString()).toContain(`.qi-jail.yaml:4:7: unknown key servers.a.comand (did you mean "command"?)`)
    expect(status).toBe(1)
    policy('sandbox:\n  default: strict\n')
    expect(await inProject('"$QI" policy validate')).toMatchObject({ status: 0, stderr: '' })
  })
})
