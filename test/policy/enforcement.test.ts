import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { spawnSandboxed } from '../../src/index.js'
import { PROFILES_DIR, type SandboxConfig } from '../../src/policy/index.js'
import { type Given, resolveOn, type Tree } from '../profile/fake.js'

const FILE = '/home/u/.config/qi-jail/policy.yaml'
const PROJECT = '/home/u/app/.qi-jail.yaml'
const global = (mode: string) => `security: {global: {enforcement_mode: ${mode}}}\n`
const profile = (mode: string) => `sandbox: {default: p, profiles: {p: {enforcement: ${mode}}}}\n`

/** What the files come to; the profile itself comes from them. */
function modeOf(user: string | undefined, project?: string, config: SandboxConfig = {}): string {
  const strict = `${PROFILES_DIR}/strict.yaml`
  const tree: Tree = { [strict]: readFileSync(strict, 'utf8') }
  if (user) tree[FILE] = user
  if (project) tree[PROJECT] = project
  try {
    const files = { policyFiles: true, systemPolicy: '/none', profile: undefined } as unknown as Given
    return resolveOn({ ...files, config, tree }).enforcement
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('who says how strict a jail is', () => {
  it.each<[string, string | undefined, string | undefined, SandboxConfig, string]>([
    ['nobody', undefined, undefined, {}, 'strict'],
    ['the document', global('permissive'), undefined, {}, 'permissive'],
    [
      'a profile over the document of its file',
      global('disabled') + profile('permissive'),
      undefined,
      {},
      'permissive'
    ],
    ['a profile over a laxer one', global('permissive') + profile('strict'), undefined, {}, 'strict'],
    ['a document that turns it off', global('disabled'), undefined, {}, 'QI_POLICY_DISABLED'],
    ['a project, stricter', global('disabled'), global('permissive'), {}, 'permissive'],
    ['a project, stricter than a profile', profile('permissive'), global('strict'), {}, 'strict'],
    ['a project, the same', global('disabled'), global('disabled'), {}, 'QI_POLICY_DISABLED'],
    ['a project, laxer', global('strict'), global('permissive'), {}, 'QI_POLICY_WIDENS'],
    ['a project, laxer than nothing', undefined, global('disabled'), {}, 'QI_POLICY_WIDENS'],
    ['the caller, over all of them', global('disabled'), undefined, { enforcement: 'strict' }, 'strict']
  ])('%s', (_who, user, project, config, outcome) => {
    expect(modeOf(user, project, config)).toBe(outcome)
  })
})

describe('the Node API', () => {
  const home = realpathSync(mkdtempSync('/var/tmp/qi-disabled-'))
  afterAll(() => rmSync(home, { recursive: true, force: true }))
  mkdirSync(`${home}/qi-jail`)
  writeFileSync(`${home}/qi-jail/policy.yaml`, global('disabled'))
  const env = { ...process.env, XDG_CONFIG_HOME: home }

  it('gives no process without a jail to who asked for one', async () => {
    const made = `${home}/made`
    const launch = (policyFiles: boolean, argv: string[]) =>
      spawnSandboxed({}, argv, { env, cwd: '/', policyFiles, stdio: 'ignore' })
    await expect(launch(true, ['touch', made])).rejects.toMatchObject({
      code: 'QI_POLICY_DISABLED',
      message: expect.stringContaining(`${home}/qi-jail/policy.yaml:1:`)
    })
    expect(existsSync(made)).toBe(false)
    expect((await (await launch(false, ['true'])).exited).code).toBe(0)
  })
})
