import { describe, expect, it } from 'vitest'
import { QiError } from '../../src/errors.js'
import { compileNetwork } from '../../src/network/compile.js'
import { mergeLayers } from '../../src/policy/merge.js'
import { listProfiles, listServerProfiles, loadProfile } from '../../src/policy/profiles.js'
import { fakeFs, type Tree } from '../profile/fake.js'

const load = (files: Tree, name = 'a') =>
  loadProfile(name, {
    fs: fakeFs(Object.fromEntries(Object.entries(files).map(([n, text]) => [`/p/${n}`, text]))),
    cwd: '/p/sub',
    profilesDir: '/p'
  })

const fault = (act: () => unknown): QiError => {
  try {
    act()
  } catch (error) {
    if (error instanceof QiError) return error
    throw error
  }
  throw new Error('accepted')
}

const head = 'name: a\npurpose: x\n'

describe('loadProfile', () => {
  it('loads every shipped profile', () => {
    expect(listProfiles()).toEqual(['dev', 'standard', 'strict'])
    for (const name of listProfiles())
      expect(loadProfile(name)).toMatchObject({ name, purpose: expect.stringMatching(/^.{10,100}$/) })
    expect(loadProfile('dev').layers.map((l) => l.origin)).toEqual([
      'profiles/strict.yaml',
      'profiles/standard.yaml',
      'profiles/dev.yaml'
    ])
  })

  it('strict grants nothing by name and shares no network; only dev does', () => {
    const policy = (name: string) => mergeLayers(loadProfile(name).layers)
    expect(policy('strict')).toMatchObject({ paths: [], env: {}, network: { shareHost: false }, pty: false })
    expect(policy('strict').resources).toMatchObject({
      maxProcesses: 512,
      maxFileDescriptors: 4096,
      tmpSize: 256 * 2 ** 20
    })
    expect(policy('strict').filesystem.maxFileSize).toBe(2 ** 30)
    expect(policy('standard').network.shareHost).toBe(false)
    expect(policy('dev').network.shareHost).toBe(true)
  })

  it('loads every profile made for a server, on top of one of the others', () => {
    expect(listServerProfiles().length).toBeGreaterThan(12)
    for (const name of listServerProfiles()) {
      const { layers, ...loaded } = loadProfile(name)
      expect(loaded).toMatchObject({
        name: name.slice('servers/'.length),
        purpose: expect.stringMatching(/^.{10,100}$/)
      })
      expect(layers.map((l) => l.origin)).toEqual(['profiles/strict.yaml', `profiles/${name}.yaml`])
      expect(mergeLayers(layers).network.shareHost).toBe(false)
    }
  })

  it.each([
    ['filesystem', []],
    ['memory', []],
    ['time', []],
    ['github', ['api.github.com:443']],
    ['slack', ['slack.com:443']],
    ['brave-search', ['api.search.brave.com:443']],
    ['postgres', ['loopback 5432']],
    ['fetch', ['any:80', 'any:443']]
  ])('servers/%s reaches %j', (name, reach) => {
    const { rules } = compileNetwork(mergeLayers(loadProfile(`servers/${name}`).layers).network, undefined)
    const hosts = rules?.hosts.map(
      ({ pattern, low }) => `${pattern.kind === 'name' ? pattern.name : pattern.kind}:${low}`
    )
    const told = [...(hosts ?? []), ...(rules?.loopback ?? []).map(({ port }) => `loopback ${port}`)]
    expect(told).toEqual(reach)
  })

  it('takes servers/NAME for ours, and ./servers/NAME for a file', () => {
    const files = {
      'servers/b.yaml': 'name: b\npurpose: ours\nextends: a\n',
      'sub/servers/b.yaml': head,
      'sub/servers/b': 'name: b\npurpose: theirs\n',
      'sub/servers/c': head,
      'a.yaml': head
    }
    expect(load(files, 'servers/b')).toMatchObject({ purpose: 'ours', files: ['/p/servers/b.yaml', '/p/a.yaml'] })
    expect(load(files, './servers/b').purpose).toBe('theirs')
    expect(load(files, 'servers/b.yaml').files).toEqual(['/p/sub/servers/b.yaml'])
    const error = fault(() => load(files, 'servers/c'))
    expect(error).toMatchObject({ code: 'QI_PROFILE_UNKNOWN', hint: expect.stringContaining('servers/b') })
    for (const name of ['servers/../a', 'servers/', 'x/b'])
      expect(fault(() => load(files, name)).code).toBe('QI_PROFILE_UNKNOWN')
  })

  it('looks beside the extending file for a file', () => {
    const loaded = load(
      {
        'sub/b.yaml': 'name: b\npurpose: x\nextends: ./c.yaml\n',
        'sub/c.yaml': 'name: c\npurpose: x\nextends: a\n',
        'a.yaml': head
      },
      'b.yaml'
    )
    expect(loaded.layers.map((l) => l.origin)).toEqual(['profiles/a.yaml', '/p/sub/c.yaml', '/p/sub/b.yaml'])
    expect(loaded.files).toEqual(['/p/sub/b.yaml', '/p/sub/c.yaml', '/p/a.yaml'])
  })

  it.each([
    ['itself', { 'a.yaml': `${head}extends: a\n` }],
    ['its base', { 'a.yaml': `${head}extends: b\n`, 'b.yaml': 'name: b\npurpose: x\nextends: a\n' }],
    ['itself by path', { 'a.yaml': `${head}extends: ./a.yaml\n` }]
  ])('refuses one that extends %s', (_what, files) => {
    expect(fault(() => load(files))).toMatchObject({ code: 'QI_PROFILE_CYCLE', field: 'extends' })
  })

  it('lists what there is when the profile is unknown', () => {
    const error = fault(() => load({ 'a.yaml': head, 'b.yaml': head }, 'strikt'))
    expect(error).toMatchObject({ code: 'QI_PROFILE_UNKNOWN', value: 'strikt' })
    expect(error.hint).toContain('a, b')
    expect(fault(() => load({ 'a.yaml': `${head}extends: gone\n` })).code).toBe('QI_PROFILE_UNKNOWN')
    expect(fault(() => load({ 'a.yaml': head }, './a.yaml')).code).toBe('QI_PROFILE_UNKNOWN')
  })

  it.each([
    ['bad indentation', `${head}filesystem:\n  a: [\n`, 'QI_PROFILE_SYNTAX', /profiles\/a\.yaml:\d+:\d+: /],
    ['a key twice', `${head}name: b\n`, 'QI_PROFILE_SYNTAX', /profiles\/a\.yaml:3:1: /],
    [
      'an unknown key',
      `${head}filesystem:\n  readOnly: []\n`,
      'QI_CONFIG',
      /profiles\/a\.yaml:4:3: unknown key filesystem\.readOnly/
    ],
    [
      'a bad value',
      `${head}resources:\n  maxMemory: 0\n`,
      'QI_LIMIT',
      /profiles\/a\.yaml:4:14: resources\.maxMemory = 0/
    ],
    ['no purpose', 'name: a\n', 'QI_CONFIG', /purpose/],
    ['profile instead of extends', `${head}profile: strict\n`, 'QI_CONFIG', /unknown key profile/],
    ['a list', '- a\n', 'QI_CONFIG', /profiles\/a\.yaml/],
    ['nothing', '', 'QI_CONFIG', /profiles\/a\.yaml/]
  ])('refuses %s with its place', (_what, text, code, message) => {
    const error = fault(() => load({ 'a.yaml': text }))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
  })
})

describe('mergeLayers', () => {
  const layer = (config: object, origin = 'x') => ({ origin, config })

  it('adds paths up with their origins and takes the last word for the rest', () => {
    const policy = mergeLayers([
      layer(
        {
          filesystem: { readOnlyPaths: ['/a'] },
          resources: { maxProcesses: 1, tmpSize: 5 },
          env: ['A'],
          tolerate: ['cpuLimit']
        },
        'p.yaml'
      ),
      layer({
        filesystem: { readOnlyPaths: ['/b'] },
        resources: { maxProcesses: 2, tmpSize: undefined },
        env: { B: 'x' },
        tolerate: []
      })
    ])
    expect(policy.paths.map((p) => p.origin)).toEqual([
      'p.yaml: filesystem.readOnlyPaths[0]',
      'x: filesystem.readOnlyPaths[0]'
    ])
    expect(policy).toMatchObject({ resources: { maxProcesses: 2, tmpSize: 5 }, env: { A: true, B: 'x' }, tolerate: [] })
  })

  it('denyInternet takes a shared network back', () => {
    const shared = layer({ network: { dangerouslyShareHostNetwork: true } })
    expect(mergeLayers([shared]).network.shareHost).toBe(true)
    expect(mergeLayers([shared, layer({ network: { denyInternet: true } })]).network.shareHost).toBe(false)
    expect(mergeLayers([layer({ network: { denyInternet: true } }), shared]).network.shareHost).toBe(true)
  })
})
