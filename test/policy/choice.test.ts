import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QiError } from '../../src/errors.js'
import { loadPolicy, type PolicyRequest } from '../../src/policy/document/load.js'
import { PROFILES_DIR } from '../../src/policy/profiles.js'
import type { ReadFs } from '../../src/profile/fs.js'
import type { Profile } from '../../src/profile/types.js'
import { BASE, fakeFs, resolveOn, type Tree } from '../profile/fake.js'
import { widened } from './judge.js'

/**
 * No project file, however made, widens: whatever it chooses, names or defines. The launch with a repository's files is
 * compared to the launch without them.
 */

const read = (folder: string, at: string): Tree =>
  Object.fromEntries(
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => [`${at}/${name}`, readFileSync(`${folder}/${name}`, 'utf8')])
  )
const PROFILES = '/opt/qi-jail/profiles'
const WORLD: Tree = {
  ...read(PROFILES_DIR, PROFILES),
  ...read(`${PROFILES_DIR}/servers`, `${PROFILES}/servers`),
  '/w/.git/HEAD': '',
  '/w/a/x/y/f': '',
  '/w/b/z/f': '',
  '/v/q/f': '',
  '/etc/hosts': '',
  '/w/a/evil.yaml': 'name: evil\npurpose: p\nextends: dev\nfilesystem: {readOnlyPaths: [/v]}\n',
  '/w/evil.yaml': 'name: evil\npurpose: p\nextends: dev\nfilesystem: {readOnlyPaths: [/v]}\n'
}
const USER = '/home/u/.config/qi-jail/policy.yaml'
const OUTER = '/w/.qi-jail.yaml'
const INNER = '/w/a/.qi-jail.yaml'
const MORE = '/home/u/more.yaml'
const ENV = { PATH: '/usr/bin:/bin', HOME: '/home/u', A: 'a' }

interface Given {
  files: Record<string, object>
  flags?: Pick<PolicyRequest, 'profile' | 'tool' | 'server'>
}

function outcome({ files, flags = {} }: Given): Profile | QiError {
  const texts = Object.entries(files).map(([path, document]) => [path, JSON.stringify(document)] as const)
  const tree: Tree = { ...WORLD, ...Object.fromEntries(texts) }
  const plain = fakeFs({ ...BASE, ...tree })
  const fs: ReadFs = { ...plain, lstat: (path) => ((found) => found && { ...found, uid: 501 })(plain.lstat(path)) }
  const caller = { fs, cwd: '/w/a', home: '/home/u', env: ENV, uid: 501, profilesDir: PROFILES }
  try {
    const profile = loadPolicy({ ...caller, argv: ['bash'], ...(MORE in files ? { policy: MORE } : {}), ...flags })
    return resolveOn({ argv: ['bash'], tree, env: ENV, profile, cwd: '/w/a' })
  } catch (error) {
    if (error instanceof QiError) return error
    throw error
  }
}

/** What the same launch is without the repository's files; a flag that only they gave a meaning was not said. */
function without({ files: { [OUTER]: _outer, [INNER]: _inner, ...files }, flags = {} }: Given): Profile | QiError {
  const before = outcome({ files, flags })
  const { profile, ...noProfile } = flags
  if (before instanceof QiError && before.code === 'QI_PROFILE_UNKNOWN' && before.value === profile)
    return without({ files, flags: noProfile })
  const { tool, ...noTool } = flags
  if (before instanceof QiError && before.code === 'QI_POLICY_TOOL' && before.value === tool)
    return without({ files, flags: noTool })
  return before
}

const NAMES = ['x', 'y', 'strict', 'standard', 'dev', 'servers/fetch']
const name = fc.constantFrom(...NAMES)
const tool = fc.constantFrom('t', 'u')
// None inside another: which names are protected at the top of a grant is not what is judged here.
const paths = fc.constantFrom(['/v'], ['/w/b'], ['/w/a'], [])
const optional = <T>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(shape, { requiredKeys: [] })

const profile = optional({
  extends: name,
  filesystem: optional({ allowedPaths: paths, readOnlyPaths: paths, deniedPaths: fc.constantFrom(['/w/b/z'], []) }),
  network: optional({
    allowedHosts: fc.constantFrom(['*'], ['a.example'], ['b.example:443']),
    allowedPorts: fc.constantFrom([443], [80], [])
  }),
  resources: optional({ maxProcesses: fc.constantFrom(100, 9000), maxMemory: fc.constantFrom(10, 20) })
})
const toolPolicy = optional({
  allowed_paths: paths,
  denied_paths: fc.constantFrom(['/w/a/x'], []),
  allowed_hosts: fc.constantFrom(['a.example'], ['*'], []),
  max_execution_time: fc.constantFrom(1000, 2000)
})
const server = fc.oneof(
  fc.record({ name: fc.constant('s'), profile: name }),
  fc.record({ command: fc.constant('bash'), profile: name }),
  fc.record({ command: fc.constant('bash'), tool })
)
const document = optional({
  sandbox: optional({
    default: name,
    tool,
    profiles: fc.dictionary(fc.constantFrom('x', 'y', 'strict', 'standard', 'dev'), profile, { maxKeys: 2 })
  }),
  servers: fc.array(server, { minLength: 1, maxLength: 2 }),
  security: fc.record({
    tools: optional({ default_policy: toolPolicy, tool_specific: fc.dictionary(tool, toolPolicy, { maxKeys: 2 }) })
  })
})
const given: fc.Arbitrary<Given> = fc.record({
  files: optional({ [USER]: document, [OUTER]: document, [INNER]: document, [MORE]: document }),
  flags: optional({ profile: fc.constantFrom('x', 'dev', 'standard'), tool, server: fc.constantFrom('s', 'q') })
})

describe("a repository's files", () => {
  it('never widen, whatever they choose, name or define', () => {
    const seen = { failed: 0, widens: 0, other: 0, taken: 0 }
    fc.assert(
      fc.property(given, (one) => {
        const [before, after] = [without(one), outcome(one)]
        if (after instanceof QiError) seen[after.code === 'QI_POLICY_WIDENS' ? 'widens' : 'other']++
        else if (before instanceof QiError) {
          seen.failed++
          // A tool of the caller's own files, which only limits it, is the one thing a project may give a meaning.
          expect(before.code).toBe('QI_POLICY_TOOL')
        } else {
          seen.taken++
          expect(widened(before, after)).toEqual([])
        }
      }),
      { numRuns: 1500 }
    )
    // Neither side of it was empty.
    expect(seen.widens).toBeGreaterThan(10)
    expect(seen.taken).toBeGreaterThan(10)
  }, 600_000)

  const HOLE = { readOnlyPaths: ['/v'] }
  const wide = { extends: 'dev', filesystem: HOLE }
  // No path of its own, which would be refused by itself.
  const DEV = { extends: 'dev' }
  it.each<[string, Record<string, object>, Given['flags']?]>([
    [
      'a default that only a file further down defines',
      { [OUTER]: { sandbox: { default: 'x' } }, [INNER]: { sandbox: { profiles: { x: DEV } } } }
    ],
    [
      'a file of the working directory by its name',
      {
        [OUTER]: { sandbox: { default: 'x' } },
        [INNER]: { sandbox: { profiles: { x: { extends: 'evil.yaml' } } } }
      }
    ],
    ['a file as the default', { [OUTER]: { sandbox: { default: 'evil.yaml' } } }],
    [
      "a meaning for the user's default",
      { [USER]: { sandbox: { default: 'work' } }, [OUTER]: { sandbox: { profiles: { work: DEV } } } }
    ],
    [
      "a meaning for the profile of the user's server",
      {
        [USER]: { servers: { s: { profile: 'work' } } },
        [OUTER]: { sandbox: { profiles: { work: DEV } } }
      },
      { server: 's' }
    ],
    [
      'a profile of the --policy file',
      { [OUTER]: { sandbox: { default: 'wide' } }, [MORE]: { sandbox: { profiles: { wide } } } }
    ],
    [
      'what lies under a profile of the --policy file',
      {
        [OUTER]: { sandbox: { profiles: { x: { extends: 'dev' } } } },
        [MORE]: { sandbox: { default: 'x', profiles: { x: {} } } }
      }
    ],
    [
      'a tool of the --policy file',
      {
        [OUTER]: { sandbox: { tool: 't' } },
        [MORE]: { security: { tools: { tool_specific: { t: { allowed_paths: ['/v'] } } } } }
      }
    ],
    [
      'a tool that only a file further down defines',
      {
        [USER]: { security: { tools: { default_policy: { max_execution_time: 10 } } } },
        [OUTER]: { sandbox: { tool: 't' } },
        [INNER]: { security: { tools: { tool_specific: { t: { allowed_paths: ['/v'] } } } } }
      }
    ],
    ['a meaning for --profile', { [OUTER]: { sandbox: { profiles: { x: DEV } } } }, { profile: 'x' }],
    ['a shadow of strict', { [OUTER]: { sandbox: { profiles: { strict: { filesystem: HOLE } } } } }]
  ])('cannot widen by %s', (_what, files, flags) => {
    const after = outcome({ files, ...(flags ? { flags } : {}) })
    expect(after instanceof QiError ? after.code : widened(without({ files }) as Profile, after)).toMatch(
      /^QI_(?:POLICY_WIDENS|PROFILE_UNKNOWN|CONFIG)$/
    )
  })

  it.each<[string, Record<string, object>, string]>([
    [
      'a profile of its own over the one that holds',
      {
        [USER]: { sandbox: { default: 'standard' } },
        [OUTER]: { sandbox: { default: 'x', profiles: { x: { extends: 'standard', devices: { pty: false } } } } },
        [INNER]: { sandbox: { default: 'y', profiles: { y: { extends: 'x', resources: { maxProcesses: 9 } } } } }
      },
      'y'
    ],
    [
      'a built-in profile that the present one is built on',
      { [USER]: { sandbox: { default: 'dev' } }, [OUTER]: { sandbox: { default: 'strict' } } },
      'strict'
    ],
    [
      'its own tool',
      {
        [OUTER]: {
          sandbox: { tool: 't' },
          security: { tools: { tool_specific: { t: { max_execution_time: 10 } } } }
        }
      },
      'strict'
    ]
  ])('may pick %s', (_what, files, named) => {
    const after = outcome({ files })
    expect(after instanceof QiError ? after.message : after.name).toBe(named)
  })

  it("a caller's own files may do all of it", () => {
    const files = { [USER]: { sandbox: { default: 'x' } }, [MORE]: { sandbox: { profiles: { x: wide } } } }
    expect(widened(outcome({ files: {} }) as Profile, outcome({ files }) as Profile)).toContain('/v: 0 -> 1')
  })
})
