import { grantOf } from '../profile/grants.js'
import type { Explanation } from './types.js'

/** One rule that only one of two profiles has, or that they state differently. */
export interface Difference {
  section: 'grants' | 'denies' | 'denied names' | 'network' | 'env' | 'limits' | 'devices' | 'tolerate' | 'settings'
  name: string
  /** What each says; null: nothing. */
  a: string | null
  b: string | null
  /** What B lets a payload do in comparison with A. */
  effect: 'more' | 'less' | 'other'
}

type Facts = Map<string, { text: string; power: number | null }>

/** From a to b. `power`: the larger lets a payload do more; null where neither does. */
export function difference(a: Explanation, b: Explanation): Difference[] {
  const sections: [Difference['section'], (of: Explanation) => Facts][] = [
    ['grants', grants],
    ['denies', denies],
    ['denied names', deniedNames],
    ['network', network],
    ['env', env],
    ['limits', limits],
    ['devices', devices],
    ['tolerate', tolerate],
    ['settings', settings]
  ]
  const all = sections.flatMap(([section, facts]) => compare(section, facts(a), facts(b)))
  return all.filter((each) => each.section !== 'denies' || takesAway(each, each.a === null ? a : b))
}

/** A deny inside a grant of its own is no less than no grant at all. */
function takesAway({ name, a, b }: Difference, other: Explanation): boolean {
  const around = grantOf(other.grants, name)
  return around !== undefined && (around.access === 'rw' || (a ?? b) === 'no read')
}

function compare(section: Difference['section'], a: Facts, b: Facts): Difference[] {
  const names = [...new Set([...a.keys(), ...b.keys()])].sort()
  return names.flatMap((name): Difference[] => {
    const [was, is] = [a.get(name), b.get(name)]
    if (was?.text === is?.text) return []
    return [{ section, name, a: was?.text ?? null, b: is?.text ?? null, effect: effectOf(was?.power, is?.power) }]
  })
}

/** Of what is not said at all the power is 0. */
function effectOf(was: number | null | undefined = 0, is: number | null | undefined = 0): Difference['effect'] {
  if (was === null || is === null || was === is) return 'other'
  return is > was ? 'more' : 'less'
}

const grants = ({ grants }: Explanation): Facts =>
  new Map(grants.map(({ path, access }) => [path, { text: access, power: access === 'rw' ? 2 : 1 }]))

const denies = ({ denies }: Explanation): Facts =>
  new Map(denies.map(({ path, kind }) => [path, { text: `no ${kind}`, power: kind === 'read' ? -2 : -1 }]))

const deniedNames = ({ mediation }: Explanation): Facts =>
  new Map(mediation?.patterns.map(({ pattern }) => [pattern, { text: 'not opened', power: -1 }]))

const MODES = { none: 0, allowList: 1, dangerouslyShareHostNetwork: 2 }

function network({ network: { mode, innerLoopback, rules, maxConnections } }: Explanation): Facts {
  return new Map([
    ['mode', { text: mode, power: MODES[mode] }],
    ['own loopback', { text: String(innerLoopback), power: innerLoopback ? 1 : 0 }],
    ['maxConnections', { text: String(maxConnections ?? 'no limit'), power: maxConnections ?? Number.MAX_VALUE }],
    ...rules.map(({ rule }): [string, { text: string; power: number }] => [
      rule,
      { text: 'a rule', power: / deny /.test(rule) ? -1 : 1 }
    ])
  ])
}

const env = ({ env }: Explanation): Facts => new Map(env.map(({ name }) => [name, { text: 'passed', power: 1 }]))

const NO_LIMIT = Number.MAX_VALUE
const LIMITED = ['maxMemory', 'maxCpu', 'maxExecutionTime', 'maxIo']

function limits({ limits }: Explanation): Facts {
  const told = new Map(limits.map(({ name, value }) => [name, value]))
  for (const name of LIMITED) if (!told.has(name)) told.set(name, undefined)
  return new Map(
    [...told].map(([name, value]) => {
      const power = typeof value === 'number' ? value : value === undefined ? NO_LIMIT : null
      return [name, { text: value === undefined ? 'no limit' : JSON.stringify(value), power }]
    })
  )
}

const devices = ({ devices }: Explanation): Facts =>
  new Map(Object.entries(devices).map(([name, has]) => [name, { text: String(has), power: has ? 1 : 0 }]))

/** Of several imported profiles each takes away. */
const settings = ({ settings }: Explanation): Facts =>
  new Map(
    settings.map(({ name, value, origin }) =>
      name === 'syscalls.oci'
        ? [origin, { text: String(value), power: -1 }]
        : [name, { text: String(value), power: name === 'enforcement' ? (value === 'permissive' ? 1 : 0) : null }]
    )
  )

/** What may be missing on the host. */
const tolerate = ({ tolerate }: Explanation): Facts =>
  new Map(tolerate.map((name) => [name, { text: 'may be missing', power: 1 }]))
