import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QiError } from '../../src/errors.js'
import { parseConfig, type SandboxConfig } from '../../src/policy/config.js'
import type { Layer } from '../../src/policy/layer.js'
import type { Profile } from '../../src/profile/types.js'
import { codeOf, resolveOn, type Tree } from '../profile/fake.js'
import { access, HOSTS, PATHS, PORTS, reach, widened } from './judge.js'

/** No project layer, whatever it says, widens what the layers below it come to. */

const TREE: Tree = {
  '/w/a/x/y/f': '',
  '/w/b/z/f': '',
  '/v/q/f': '',
  '/etc/hosts': '10.1.2.3 corp.example\n',
  '/w/link': '-> /v'
}
const ENTRIES = ['*', ...HOSTS, '*.a.example', '*.example.org', '10.0.0.0/8', '10.1.2.3', '0.0.0.0/0', '192.168.1.0/24']

const some = <T>(values: readonly T[]) => fc.uniqueArray(fc.constantFrom(...values), { maxLength: 3 })
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 })

const host = fc.oneof(
  fc.constantFrom(...ENTRIES),
  fc.tuple(fc.constantFrom(...ENTRIES), fc.constantFrom(...PORTS)).map(([name, port]) => `${name}:${port}`),
  fc.record({ host: fc.constantFrom('a.example', '*.a.example', 'b.example'), inspect: fc.constant('sni' as const) }),
  fc.record({ host: fc.constantFrom(...ENTRIES), ports: fc.uniqueArray(fc.constantFrom(...PORTS), { minLength: 1 }) })
)

const config: fc.Arbitrary<SandboxConfig> = fc
  .record(
    {
      filesystem: fc.record(
        {
          readOnlyPaths: some([...PATHS, '/w/link', '/w/link/q', '/v/gone?']),
          allowedPaths: some([...PATHS, '/w/link']),
          deniedPaths: some([...PATHS, '/w/link', '/v/**']),
          maxFileSize: fc.constantFrom(1000, 2000, 3000),
          allowProtected: some(['.env', '.vscode']),
          tempDirectory: fc.constantFrom('/tmp', '/scratch')
        },
        { requiredKeys: [] }
      ),
      network: fc.record(
        {
          allowedHosts: fc.array(host, { maxLength: 3 }),
          allowedPorts: fc.uniqueArray(fc.constantFrom(...PORTS), { minLength: 1 }),
          deniedHosts: some(HOSTS),
          denyInternet: fc.boolean(),
          udp: some(['a.example:4433', 'b.example:4433', '*.a.example:4433']),
          allowLoopback: some([5432, 6379]),
          publish: some([3000, 3001]),
          maxConnections: fc.constantFrom(1, 5, 9),
          updatable: fc.boolean(),
          innerLoopback: fc.boolean(),
          dangerouslyShareHostNetwork: fc.boolean()
        },
        { requiredKeys: [] }
      ),
      resources: fc.record(
        {
          maxMemory: fc.constantFrom(10, 20, 30),
          maxExecutionTime: fc.constantFrom(10, 20, 30),
          maxProcesses: fc.constantFrom(100, 512, 9000),
          maxFileDescriptors: fc.constantFrom(100, 4096, 9000),
          tmpSize: fc.constantFrom(1000, 2 ** 28, 2 ** 40),
          tmpFiles: fc.constantFrom(10, 65536, 70000),
          terminationGrace: fc.constantFrom(10, 2000, 9000),
          executionClock: fc.constantFrom('wall' as const, 'running' as const),
          onProcessLimit: fc.constantFrom('refuse' as const, 'kill' as const),
          cgroup: fc.constantFrom('auto' as const, 'off' as const),
          maxIo: fc.record(
            { readBytes: fc.constantFrom(5, 6), writeBytes: fc.constantFrom(5, 6) },
            { requiredKeys: ['readBytes'] }
          )
        },
        { requiredKeys: [] }
      ),
      env: fc.dictionary(
        fc.constantFrom('A', 'B', 'PATH', 'NODE_OPTIONS'),
        fc.oneof(fc.constant(true as const), fc.constantFrom('1', '2')),
        { maxKeys: 2 }
      ),
      devices: fc.record({ pty: fc.boolean() }),
      tolerate: some(['cpuLimit', 'landlockNet', 'memoryLimit'] as const),
      cwd: fc.constantFrom('/w', '/w/a'),
      protections: fc.dictionary(
        fc.constantFrom('landlockNet', 'landlockScope', 'cpuLimit'),
        fc.constantFrom('require', 'degrade', 'off'),
        { maxKeys: 2 }
      ),
      audit: fc.record(
        { file: fc.constantFrom('/log/a', '/log/b'), files: fc.constantFrom('off', 'denied', 'all') },
        { requiredKeys: [] }
      )
    },
    { requiredKeys: [] }
  )
  .map((value) => value as SandboxConfig)

/** A few keys of it: one that says everything says too much somewhere. */
const sparse: fc.Arbitrary<SandboxConfig> = fc
  .tuple(config, fc.array(fc.nat(30), { minLength: 1, maxLength: 3 }))
  .map(([value, picks]) => {
    const leaves = Object.entries(value).flatMap(([section, part]): (readonly [string, string?])[] =>
      typeof part === 'object' && !Array.isArray(part) && section !== 'env'
        ? Object.keys(part).map((key) => [section, key] as const)
        : [[section] as const]
    )
    const out: Record<string, unknown> = {}
    for (const pick of leaves.length > 0 ? picks : []) {
      const [section, key] = leaves[pick % leaves.length] as readonly [keyof SandboxConfig, string?]
      if (key === undefined) out[section] = value[section]
      else out[section] = { ...(out[section] as object), [key]: (value[section] as Record<string, unknown>)[key] }
    }
    return out as SandboxConfig
  })

function layerOf(origin: string, value: SandboxConfig, narrows: boolean): Layer | undefined {
  try {
    const { profile: _profile, tool: _tool, ...parsed } = parseConfig(value)
    return { origin, config: parsed, ...(narrows ? { narrows } : {}) }
  } catch {
    return undefined // contradicts itself: no layer at all
  }
}

const ENV = { PATH: '/usr/bin:/bin', HOME: '/home/u', A: 'a', B: 'b', NODE_OPTIONS: 'own', SECRET: 's' }

function outcome(layers: Layer[]): Profile | QiError {
  try {
    const profile = { name: 't', purpose: 't', layers, files: [] }
    return resolveOn({ argv: ['bash'], tree: TREE, env: ENV, profile, cwd: '/w' })
  } catch (error) {
    if (error instanceof QiError) return error
    throw error
  }
}

describe('a project layer', () => {
  it('never widens, whatever it says', () => {
    const seen = { refused: 0, narrowed: 0, other: 0 }
    fc.assert(
      fc.property(maybe(config), config, fc.oneof(sparse, config), (first, second, project) => {
        const base = [first, second].flatMap((value, i) => (value ? (layerOf(`base${i}`, value, false) ?? []) : []))
        const narrow = layerOf('/w/.qi-jail.yaml', project, true)
        const before = outcome(base)
        if (!narrow || before instanceof QiError) return
        const after = outcome([...base, narrow])
        if (after instanceof QiError) {
          seen[after.code === 'QI_POLICY_WIDENS' ? 'refused' : 'other']++
          return
        }
        seen.narrowed++
        expect(widened(before, after)).toEqual([])
      }),
      { numRuns: 1500 }
    )
    // Neither side of it was empty.
    expect(seen.refused).toBeGreaterThan(50)
    expect(seen.narrowed).toBeGreaterThan(50)
  }, 600_000)

  it('that says the same again is never refused as wider', () => {
    let taken = 0
    fc.assert(
      fc.property(config, (value) => {
        // A host that is inspected and covered by another entry, too, cannot be told apart by either alone.
        fc.pre(!JSON.stringify(value).includes('inspect'))
        const base = layerOf('base', value, false)
        const same = layerOf('/w/.qi-jail.yaml', value, true)
        if (!base || !same || outcome([base]) instanceof QiError) return
        const after = outcome([base, same])
        expect(after instanceof QiError && after.code === 'QI_POLICY_WIDENS' ? after.message : 'taken').toBe('taken')
        taken++
      }),
      { numRuns: 300 }
    )
    expect(taken).toBeGreaterThan(5)
  })
})

describe('a denial', () => {
  it('wins in every order of layers', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...PATHS),
        fc.constantFrom(...HOSTS),
        config,
        config,
        fc.nat(2),
        (path, name, a, b, at) => {
          const others = [a, b].flatMap((value, i) => layerOf(`l${i}`, value, false) ?? [])
          const denial = layerOf(
            'deny',
            { filesystem: { deniedPaths: [path] }, network: { deniedHosts: [name] } },
            false
          ) as Layer
          const profile = outcome([...others.slice(0, at), denial, ...others.slice(at)])
          if (profile instanceof QiError) return // said aloud
          expect([path, `${path}/f`].map((one) => access(profile, one))).toEqual([0, 0])
          expect([...reach(profile)].filter((target) => target.includes(` ${name}:`) && profile.network.rules)).toEqual(
            []
          )
        }
      ),
      { numRuns: 300 }
    )
  })
})

describe('paths of a project layer', () => {
  const layers = (...all: SandboxConfig['filesystem'][]) =>
    all.map((filesystem, i) => layerOf(`l${i}`, filesystem ? { filesystem } : {}, i === all.length - 1) as Layer)
  const named = (profile: Profile | QiError) =>
    profile instanceof QiError
      ? profile.code
      : profile.grants.filter((g) => /^l\d/.test(g.origin)).map((g) => `${g.access} ${g.path}`)

  it.each<[string, SandboxConfig['filesystem'], SandboxConfig['filesystem'], string[] | string]>([
    ['an emptied list', { allowedPaths: ['/w'], readOnlyPaths: ['/v'] }, { allowedPaths: [] }, ['ro /v']],
    ['less of one', { allowedPaths: ['/w'] }, { allowedPaths: ['/w/a'] }, ['rw /w/a']],
    ['writable made readable', { allowedPaths: ['/w'] }, { readOnlyPaths: ['/w'] }, ['ro /w']],
    // What is read-only inside a writable folder is a limit, not a grant to be left out.
    ['no hole lost', { allowedPaths: ['/w'], readOnlyPaths: ['/w/a'] }, { readOnlyPaths: [] }, ['rw /w', 'ro /w/a']],
    [
      'no hole named',
      { allowedPaths: ['/w'], readOnlyPaths: ['/w/a'] },
      { allowedPaths: ['/w/a'] },
      'QI_POLICY_WIDENS'
    ],
    ['a link out', { allowedPaths: ['/w'] }, { allowedPaths: ['/w/link'] }, 'QI_POLICY_WIDENS'],
    ['more to read', { allowedPaths: ['/w'] }, { readOnlyPaths: ['/v'] }, 'QI_POLICY_WIDENS'],
    ['read made writable', { readOnlyPaths: ['/w'] }, { allowedPaths: ['/w/a'] }, 'QI_POLICY_WIDENS']
  ])('%s', (_what, base, project, outcomeNamed) => {
    expect(named(outcome(layers(base, project)))).toEqual(outcomeNamed)
  })
})

describe('a project layer that leaves out', () => {
  const launch = (base: SandboxConfig, project: SandboxConfig | undefined, tree: Tree, cwd = '/w') => {
    const own = project ? [layerOf('p', project, true) as Layer] : []
    const layers = [layerOf('base', base, false) as Layer, ...own]
    const profile = { name: 't', purpose: 't', layers, files: [] }
    return codeOf(() => resolveOn({ argv: ['bash'], tree: { '/w/src/f': '', ...tree }, env: ENV, profile, cwd }))
  }
  const narrow = { filesystem: { allowedPaths: ['/w/src'] } }
  const LINK: Tree = { '/w/docs': '-> /v', '/v/q': 'secret' }

  it.each<[string, SandboxConfig, Tree, string]>([
    [
      'the folder of a link',
      { filesystem: { allowedPaths: ['/w'], readOnlyPaths: ['/w/docs'] } },
      LINK,
      'QI_GRANT_LINK'
    ],
    ['a folder', { filesystem: { allowedPaths: ['/w'], readOnlyPaths: ['/w/docs'] } }, { '/w/docs/q': '' }, 'none'],
    ['the folder of a link to cwd', { filesystem: { allowedPaths: ['/w'] }, cwd: '/w/docs' }, LINK, 'QI_GRANT_LINK'],
    ['no folder of the cwd', { filesystem: { allowedPaths: ['/w'] }, cwd: '/w/src' }, {}, 'none']
  ])('%s', (_what, base, tree, code) => {
    expect(launch(base, undefined, tree)).toBe(code)
    expect(launch(base, narrow, tree)).toBe(code)
    // Named by the project itself.
    if (code === 'none') return
    expect(launch(base, { filesystem: { allowedPaths: ['/w/src'], readOnlyPaths: ['/w/docs'] } }, tree)).not.toBe(
      'none'
    )
  })

  it('a folder in a folder keeps what is protected there', () => {
    const base = layerOf('base', { filesystem: { allowedPaths: ['/w', '/w/a'] } }, false) as Layer
    const after = outcome([base, layerOf('p', { filesystem: { allowedPaths: ['/w'] } }, true) as Layer]) as Profile
    expect(['/w/a/.env', '/w/a/f'].map((path) => access(after, path))).toEqual([1, 2])
  })
})

describe('what a later layer would open', () => {
  it.each<[string, SandboxConfig, SandboxConfig, boolean]>([
    ['hosts without a port', {}, { network: { allowedPorts: [], allowedHosts: ['*'] } }, false],
    [
      'hosts that are there',
      { network: { allowedHosts: ['*'], allowedPorts: [443] } },
      { network: { allowedPorts: [443], allowedHosts: ['*'] } },
      true
    ],
    [
      'another disk',
      { resources: { maxIo: { writeBytes: 5 } } },
      { resources: { maxIo: { writeBytes: 5, path: '/v' } } },
      false
    ],
    ['less of the disk', { resources: { maxIo: { writeBytes: 5 } } }, { resources: { maxIo: { writeBytes: 4 } } }, true]
  ])('%s', (_what, base, project, taken) => {
    const after = outcome([layerOf('base', base, false) as Layer, layerOf('p', project, true) as Layer])
    expect(after instanceof QiError ? after.code : 'taken').toBe(taken ? 'taken' : 'QI_POLICY_WIDENS')
  })
})

describe('protections of a project layer', () => {
  const ORDER = ['off', 'degrade', 'require'] as const
  const NAMES = ['landlockNet', 'landlockScope', 'ioLimit'] as const
  const stateOf = ({ tolerate, off }: Profile, name: (typeof NAMES)[number]) =>
    off.includes(name) ? 0 : tolerate.includes(name) ? 1 : 2

  it.each(
    (['landlockNet', 'landlockScope'] as const).flatMap((name) =>
      ORDER.flatMap((below) => ORDER.map((wanted) => [name, below, wanted] as const))
    )
  )('%s: %s below, %s wanted', (name, below, wanted) => {
    const after = outcome([
      layerOf('base', { protections: { [name]: below } }, false) as Layer,
      layerOf('p', { protections: { [name]: wanted } }, true) as Layer
    ])
    const isWider = ORDER.indexOf(wanted) < ORDER.indexOf(below)
    if (isWider) expect(after).toMatchObject({ code: 'QI_POLICY_WIDENS', field: `protections.${name}` })
    else expect(stateOf(after as Profile, name)).toBe(ORDER.indexOf(wanted))
  })

  it('are required whatever, unless a layer below tolerates to miss them', () => {
    expect(outcome([layerOf('p', { protections: { ioLimit: 'require' } }, true) as Layer])).not.toHaveProperty('code')
    expect(outcome([layerOf('p', { protections: { ioLimit: 'degrade' } }, true) as Layer])).toMatchObject({
      code: 'QI_POLICY_WIDENS'
    })
  })

  it('never widen, in any order of what others say of them', () => {
    const wanted = fc.dictionary(fc.constantFrom(...NAMES), fc.constantFrom('require', 'degrade', 'off'), {
      maxKeys: 3
    })
    const files = fc.option(fc.constantFrom('off', 'denied', 'all'), { nil: undefined })
    const said = fc.record({ wanted, tolerate: fc.option(some(NAMES), { nil: undefined }), files })
    const configOf = ({ wanted: protections, tolerate, files }: Record<string, unknown>) =>
      ({ protections, ...(tolerate ? { tolerate } : {}), ...(files ? { audit: { files } } : {}) }) as SandboxConfig
    const seen = { refused: 0, taken: 0 }
    fc.assert(
      fc.property(said, said, said, (first, second, project) => {
        const base = [first, second].flatMap((one, i) => layerOf(`base${i}`, configOf(one), false) ?? [])
        const narrow = layerOf('p', configOf(project), true)
        const before = outcome(base)
        if (!narrow || before instanceof QiError) return
        const after = outcome([...base, narrow])
        if (after instanceof QiError) {
          expect(after.code).toBe('QI_POLICY_WIDENS')
          seen.refused++
          return
        }
        seen.taken++
        expect(NAMES.filter((name) => stateOf(after, name) < stateOf(before, name))).toEqual([])
        expect(widened(before, after)).toEqual([])
      }),
      { numRuns: 300 }
    )
    expect(seen.refused).toBeGreaterThan(20)
    expect(seen.taken).toBeGreaterThan(20)
  })
})

describe('hosts of a project layer without a port', () => {
  const inspected = { host: 'a.example', inspect: 'sni' as const }
  const reached = (
    project: SandboxConfig['network'] | undefined,
    base: SandboxConfig['network'],
    later: SandboxConfig['network']
  ) => {
    const layers = [
      layerOf('base', { network: base }, false),
      project && layerOf('p', { network: project }, true),
      layerOf('later', { network: later }, false)
    ].flatMap((layer) => layer ?? [])
    const profile = outcome(layers)
    if (profile instanceof QiError) throw profile
    return [...reach(profile)].filter((target) => target.startsWith('tcp ')).sort()
  }

  it.each<[string, base: SandboxConfig['network'], project: SandboxConfig['network'], later: SandboxConfig['network']]>(
    [
      [
        'a host',
        { allowedHosts: ['a.example:443'], allowedPorts: [443] },
        { allowedHosts: ['a.example'] },
        { allowedPorts: [80] }
      ],
      [
        'an inspected one',
        { allowedHosts: [{ ...inspected, ports: [443] }] },
        { allowedHosts: [inspected] },
        { allowedPorts: [80] }
      ],
      ['its ports, for an inspected one that comes later', {}, { allowedPorts: [80] }, { allowedHosts: [inspected] }],
      [
        'every host',
        { allowedHosts: ['*'], allowedPorts: [443] },
        { denyInternet: false },
        { allowedPorts: [80], allowedHosts: ['b.example'] }
      ]
    ]
  )('%s takes none of a later layer’s', (_what, base, project, later) => {
    const before = reached(undefined, base, later)
    expect(reached(project, base, later).filter((target) => !before.includes(target))).toEqual([])
  })

  it.each<[string, SandboxConfig['network']]>([
    ['hosts', { allowedHosts: ['a.example'] }],
    ['no internet', { denyInternet: true }],
    ['no sharing', { dangerouslyShareHostNetwork: false }]
  ])('of a shared network go when a later layer has %s', (_what, later) => {
    const base = { dangerouslyShareHostNetwork: true }
    const all = {
      allowedHosts: ['*'],
      allowLoopback: [5432],
      publish: [3000],
      udp: ['b.example:4433'],
      innerLoopback: true
    }
    const of = (project?: SandboxConfig['network']) =>
      outcome(
        [
          layerOf('base', { network: base }, false),
          project && layerOf('p', { network: project }, true),
          layerOf('l', { network: later }, false)
        ].flatMap((layer) => layer ?? [])
      ) as Profile
    expect([...reach(of(all))].sort()).toEqual([...reach(of())].sort())
    // Until then it is what the project left of it.
    const left = outcome([base, all].map((network, i) => layerOf(`${i}`, { network }, i === 1) as Layer)) as Profile
    expect(reach(left).has('tcp b.example:443')).toBe(true)
  })

  it('keep the ports of now; a later layer’s own hosts get its', () => {
    const base = { allowedHosts: ['a.example'], allowedPorts: [443] }
    const later = { allowedHosts: ['b.example'], allowedPorts: [80] }
    const of = (targets: string[]) => targets.filter((target) => !target.includes('uninspected'))
    expect(of(reached({ allowedHosts: ['a.example'] }, base, later))).toEqual(['tcp b.example:80'])
    const wider = { ...later, allowedPorts: [80, 443] }
    expect(of(reached({ allowedHosts: ['a.example'] }, base, wider))).toEqual([
      'tcp a.example:443',
      'tcp b.example:443',
      'tcp b.example:80'
    ])
    expect(of(reached(undefined, base, later))).toEqual(['tcp a.example:80', 'tcp b.example:80'])
  })

  it('whatever the layers say', () => {
    const hosts = fc.array(
      fc.oneof(fc.constantFrom('a.example', 'b.example', 'a.example:443', '*'), fc.constant(inspected)),
      { maxLength: 2 }
    )
    const ports = fc.uniqueArray(fc.constantFrom(...PORTS), { minLength: 1, maxLength: 2 })
    const said = fc.record({ allowedHosts: hosts, allowedPorts: ports }, { requiredKeys: [] })
    let taken = 0
    fc.assert(
      fc.property(said, said, ports, (base, project, allowedPorts) => {
        const later = { allowedPorts }
        const with_ = layerOf('p', { network: project }, true)
        const both = (list: (Layer | undefined)[]) => outcome(list.flatMap((layer) => layer ?? []))
        const [b, l] = [layerOf('base', { network: base }, false), layerOf('later', { network: later }, false)]
        const [plain, after] = [both([b, with_]), both([b, with_, l])]
        if (!with_ || plain instanceof QiError || after instanceof QiError) return
        taken++
        const without = both([b, l])
        const allowed = without instanceof QiError ? new Set<string>() : reach(without)
        expect([...reach(after)].filter((target) => !allowed.has(target))).toEqual([])
      }),
      { numRuns: 300 }
    )
    expect(taken).toBeGreaterThan(20)
  })
})
