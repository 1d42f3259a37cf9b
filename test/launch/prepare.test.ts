import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, expect, it, onTestFinished } from 'vitest'
import { probeHost } from '../../src/host/probe.js'
import { prepareRequest } from '../../src/launch/prepare.js'
import { skipUnless } from '../support/skip.js'

const root = realpathSync(mkdtempSync('/var/tmp/qi-prepare-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** Older than what prepare takes for settled. */
const settle = () => delay(60)

function launch(folder: string) {
  const request = {
    config: {},
    argv: ['node', `${folder}/sub/server.js`],
    env: process.env,
    cwd: '/',
    home: '/nonexistent'
  }
  const { profile } = prepareRequest(request, probeHost(), {})
  return { profile, grants: profile.grants.map((g) => g.path).filter((path) => path.startsWith(root)) }
}

it.each(['a file', 'a link'])('a kept plan is made anew when what it was read from changes: %s', async (kind) => {
  const folder = mkdtempSync(`${root}/p-`)
  mkdirSync(`${folder}/sub`)
  mkdirSync(`${folder}/elsewhere`)
  writeFileSync(`${folder}/package.json`, '{"name":"outer"}')
  writeFileSync(`${folder}/sub/server.js`, '')
  const real = kind === 'a link' ? `${folder}/elsewhere/package.json` : `${folder}/sub/package.json`
  writeFileSync(real, '{}')
  if (kind === 'a link') symlinkSync(real, `${folder}/sub/package.json`)
  await settle()
  expect(launch(folder).grants).toEqual([folder]) // its own has no name
  let kept = false
  for (let tries = 0; tries < 50 && !kept; tries++) {
    await settle() // a folder above ours may have changed meanwhile
    const { profile } = launch(folder)
    kept = launch(folder).profile === profile
  }
  expect(kept).toBe(true)
  writeFileSync(real, '{"name":"inner"}')
  await settle()
  expect(launch(folder).grants).toEqual([`${folder}/sub`])
})

it('a kept plan is made anew when a policy file changes, comes or goes', async () => {
  const folder = mkdtempSync(`${root}/policy-`)
  const [project, policy] = [`${folder}/.qi-jail.yaml`, `${folder}/more.yaml`]
  const memory = (value: string) =>
    `sandbox: { default: p, profiles: { p: { extends: strict, resources: { maxMemory: ${value} } } } }\n`
  writeFileSync(policy, memory('64MiB'))
  const request = {
    config: {},
    argv: ['/bin/true'],
    env: { PATH: '/usr/bin:/bin' },
    cwd: folder,
    home: '/nonexistent',
    policyFiles: policy,
    systemPolicy: '/nonexistent/policy.yaml'
  }
  const facts = probeHost()
  const launched = async () => {
    await settle()
    return prepareRequest(request, facts, {}).profile
  }
  const megabytes = async () => ((await launched()).limits.maxMemory ?? 0) / 2 ** 20
  expect(await megabytes()).toBe(64)
  let kept = false
  for (let tries = 0; tries < 50 && !kept; tries++) {
    const first = await launched()
    kept = (await launched()) === first
  }
  expect(kept).toBe(true)
  writeFileSync(policy, memory('65MiB'))
  expect(await megabytes()).toBe(65)
  writeFileSync(
    project,
    'sandbox: { profiles: { q: { extends: strict } } }\nservers: { a: { command: none, profile: q } }\n'
  )
  expect((await launched()).policy?.files.map(({ file }) => file)).toContain(project)
  writeFileSync(project, 'nonsense: 1\n')
  await expect(launched()).rejects.toThrow(/\.qi-jail\.yaml:1:1: unknown key nonsense/)
  rmSync(project)
  expect((await launched()).policy?.files.map(({ file }) => file)).not.toContain(project)
})

/** A new group of the v2 hierarchy and the one that we are in, if this user may make one. */
function ownGroups(): { here: string; other: string } | undefined {
  const [, mount] = /^\S+ \S+ \S+ \/ (\S+) .* - cgroup2 /m.exec(readFileSync('/proc/self/mountinfo', 'utf8')) ?? []
  const [, path] = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8')) ?? []
  if (mount === undefined || path === undefined) return undefined
  const here = `${mount}${path}`.replace(/\/$/, '')
  const other = `${here}/qi-test-${process.pid}`
  try {
    mkdirSync(other)
    writeFileSync(`${other}/cgroup.procs`, `${process.pid}`)
    return { here, other }
  } catch {
    rmSync(other, { recursive: true, force: true })
    return undefined
  }
}

// Names that are not there are told by the time of their folder: what a payload could make in one that it may write.
it.each([
  ['is made anew when a file of secrets comes into the home', '.netrc', (path: string) => writeFileSync(path, '')],
  ['and when it comes as a link', '.netrc', (path: string) => symlinkSync('notes', path)],
  ['stays when another name comes', 'notes.new', (path: string) => writeFileSync(path, '')]
])('a kept plan %s', async (_, name, come) => {
  const home = mkdtempSync(`${root}/home-`)
  writeFileSync(`${home}/notes`, '')
  await settle()
  const config = { filesystem: { readOnlyPaths: [home] } }
  const request = { config, argv: ['/bin/true'], env: { PATH: '/usr/bin:/bin' }, cwd: '/', home }
  const launched = async () => {
    await settle()
    return prepareRequest(request, probeHost(), {}).profile
  }
  let first = await launched()
  for (let tries = 0; tries < 50; tries++) {
    const again = await launched() // a folder above ours may have changed meanwhile
    if (again === first) break
    first = again
  }
  expect(await launched()).toBe(first)
  come(`${home}/${name}`)
  const next = await launched()
  if (name === '.netrc') expect(next).not.toBe(first)
  else expect(next).toBe(first)
})

it('a kept plan is made anew when this process came to be in another cgroup', async () => {
  const groups = ownGroups()
  skipUnless(groups, 'this user may make no cgroups')
  const { here, other } = groups as { here: string; other: string }
  const back = () => writeFileSync(`${here}/cgroup.procs`, `${process.pid}`)
  onTestFinished(() => {
    back()
    rmdirSync(other)
  })
  const request = { config: {}, argv: ['/bin/true'], env: { PATH: '/usr/bin' }, cwd: '/', home: '/nonexistent' }
  const prepared = async () => {
    await settle()
    return prepareRequest(request, probeHost(), {})
  }
  let first = await prepared()
  for (let tries = 0; tries < 50 && !first.holds?.(); tries++) first = await prepared()
  expect(first.holds?.()).toBe(true)
  expect(await prepared()).toBe(first)
  back()
  expect(first.holds?.()).toBe(false)
  expect(await prepared()).not.toBe(first)
})
