import { explain } from '../../src/explain/explain.js'
import { withMore } from '../../src/explain/merge-config.js'
import { type Access, type Answer, type Asked, readQuestion, why } from '../../src/explain/why.js'
import type { HostFacts } from '../../src/host/facts.js'
import { loadAddon } from '../../src/launch/locate.js'
import type { SandboxConfig } from '../../src/policy/config.js'
import { loadProfile } from '../../src/policy/profiles.js'
import { BASE, fakeFs, PLAIN, resolveOn, type Tree } from '../profile/fake.js'

export interface Given {
  config?: SandboxConfig
  profile?: string
  argv?: string[]
  tree?: Tree
  facts?: HostFacts
}

const APP: Tree = {
  '/home/u/app/package.json': '{"name":"app"}',
  '/home/u/app/server.js': '',
  '/home/u/app/.env': 'TOKEN=x',
  '/home/u/data/notes.txt': 'x'
}
/** One host with everything, whatever runs the test. */
export const HOST: HostFacts = { ...PLAIN, landlockAbi: 7 }

export const resolved = ({ config = {}, profile = 'strict', argv = [], tree = {}, facts = HOST }: Given = {}) =>
  resolveOn({ config, profile: loadProfile(profile), argv, explaining: true, tree: { ...APP, ...tree }, facts })

export const explained = (given: Given = {}) => explain(resolved(given), given.facts ?? HOST)

/** As `qi-jail why` asks, on the fake host. */
export function answer(written: string, access: Access | undefined, given: Given = {}): Answer {
  const asked: Asked = {
    resolve: (more) => resolved({ ...given, config: withMore(given.config ?? {}, more) }),
    facts: given.facts ?? HOST,
    fs: fakeFs({ ...BASE, ...APP, ...given.tree }),
    cwd: '/home/u/app',
    home: '/home/u',
    judge: loadAddon().judgeHost
  }
  return why(readQuestion(written, access, asked), asked)
}
