import { describe, expect, it } from 'vitest'
import { detailsText, explanationText } from '../../src/cli/explain-table.js'
import { difference } from '../../src/explain/diff.js'
import { explained, HOST } from './world.js'

const HOSTLESS = { ...HOST, landlockAbi: 0 }

const plain = (_: string, text: string) => text
const text = (told: ReturnType<typeof explained>) => explanationText(told, plain) + detailsText(told, plain)

const CASES = {
  'strict alone': {},
  'standard with a server and hosts': {
    profile: 'standard',
    argv: ['node', 'server.js'],
    config: {
      filesystem: { readOnlyPaths: ['~/data'], deniedPaths: ['~/data/notes.txt'] },
      network: { allowedHosts: ['api.example.com:443'], deniedHosts: ['10.0.0.0/8'], allowLoopback: [5432] },
      resources: { maxMemory: '64MiB' },
      env: ['TOKEN']
    }
  }
}

describe('explain', () => {
  it.each(Object.entries(CASES))('%s, as text', async (name, given) => {
    await expect(text(explained(given))).toMatchFileSnapshot(`__snapshots__/${name.replaceAll(' ', '-')}.txt.snap`)
  })

  it.each(Object.entries(CASES))('%s, as JSON', async (name, given) => {
    const told = JSON.stringify(explained(given), null, 2)
    await expect(`${told}\n`).toMatchFileSnapshot(`__snapshots__/${name.replaceAll(' ', '-')}.json.snap`)
  })

  it('every rule has an origin, and a reason of a fixed list', () => {
    const { grants, denies, network, limits, env, files, symlinks } = explained(
      CASES['standard with a server and hosts']
    )
    for (const rule of [...grants, ...denies, ...network.rules, ...limits, ...env, ...files, ...symlinks])
      expect(rule.origin).toMatch(/\S/)
    const strict = explained({ argv: ['node', 'server.js'] })
    const reasons = new Set([...grants, ...denies, ...strict.grants].map(({ why }) => why))
    expect([...reasons].sort()).toEqual(['command', 'default', 'mandatory', 'policy'])
  })

  it('tells the mode, what is observed and each imported profile, with who said so', () => {
    const oci = JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [] })
    const given = {
      tree: { '/home/u/oci.json': oci },
      config: { enforcement: 'permissive', audit: { files: 'all' }, syscalls: { oci: '~/oci.json' } } as const
    }
    expect(explained(given).settings).toEqual([
      { name: 'enforcement', value: 'permissive', origin: 'config: enforcement' },
      { name: 'audit.files', value: 'all', origin: 'config: audit.files' },
      { name: 'syscalls.oci', value: '2 rules', origin: 'config: syscalls.oci: /home/u/oci.json' }
    ])
    expect(text(explained(given))).toMatch(/settings\n +enforcement +permissive +config: enforcement\n/)
    const found = difference(explained(), explained(given)).filter(({ section }) => section === 'settings')
    expect(found.map(({ name, effect }) => [name, effect])).toEqual([
      ['audit.files', 'other'],
      ['config: syscalls.oci: /home/u/oci.json', 'less'],
      ['enforcement', 'more']
    ])
  })

  it('tells the patterns of names, and where they count', () => {
    const told = explained({
      config: { filesystem: { readOnlyPaths: ['~/data'], deniedPaths: ['**/.env'], mediate: true } }
    })
    const rule = { pattern: '**/.env', origin: 'config: filesystem.deniedPaths[0]' }
    expect(told.mediation).toEqual({ patterns: [rule], folders: ['/home/u/data'], executables: [] })
    expect(text(told)).toMatch(/denied names\n.*\*\*\/\.env +config[\s\S]*each open is decided\n +\/home\/u\/data\n/)
    expect(text(explained())).not.toContain('denied names')
    const found = difference(explained(), told).filter(({ section }) => section === 'denied names')
    expect(found).toEqual([expect.objectContaining({ name: '**/.env', b: 'not opened', effect: 'less' })])
  })

  it('says which layers this host lacks, and which of them refuse the launch', () => {
    const { protections } = explained({ facts: { ...HOSTLESS } })
    expect(protections.find(({ name }) => name === 'landlockFs')).toMatchObject({ state: 'off', refused: true })
    expect(protections.find(({ name }) => name === 'landlockNet')).toMatchObject({ state: 'off', refused: false })
    expect(text(explained({ facts: HOSTLESS }))).toMatch(/REFUSED +landlockFs/)
  })
})

describe('explain --diff', () => {
  it('of the same is nothing', () => expect(difference(explained(), explained())).toEqual([]))

  it('tells what the second grants more, and turned round what it grants less', () => {
    const [a, b] = [explained(), explained({ profile: 'standard' })]
    const more = difference(a, b)
    expect(more).toContainEqual({ section: 'grants', name: '/home/u/app', a: null, b: 'rw', effect: 'more' })
    expect(more).toContainEqual({ section: 'limits', name: 'maxProcesses', a: '512', b: '2048', effect: 'more' })
    expect(more.map(({ effect }) => effect)).not.toContain('less')
    const turned = { more: 'less', less: 'more', other: 'other' } as const
    expect(difference(b, a)).toEqual(
      more.map(({ a, b, effect, ...rest }) => ({ ...rest, a: b, b: a, effect: turned[effect] }))
    )
  })

  it('a deny is less where the other grants, and nothing where it does not', () => {
    const granted = { config: { filesystem: { readOnlyPaths: ['~/data'] } } }
    const denied = { config: { filesystem: { readOnlyPaths: ['~/data'], deniedPaths: ['~/data/notes.txt'] } } }
    const found = difference(explained(granted), explained(denied))
    expect(found).toEqual([
      { section: 'denies', name: '/home/u/data/notes.txt', a: null, b: 'no read', effect: 'less' }
    ])
    expect(difference(explained(), explained(denied)).map(({ section }) => section)).toEqual(['grants'])
  })

  it('no limit is more than any limit', () => {
    const limited = explained({ config: { resources: { maxMemory: '64MiB' } } })
    const found = difference(limited, explained())
    expect(found.find(({ name }) => name === 'maxMemory')).toMatchObject({ b: 'no limit', effect: 'more' })
  })
})
