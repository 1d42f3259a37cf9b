/** A Profile told to people and programs. What is decided here is wording only: every fact is the launch's own. */
import type { HostFacts } from '../host/facts.js'
import { hostLine } from '../network/text.js'
import { findings } from '../plan/protections.js'
import type { Profile, ProfileLimits } from '../profile/types.js'
import { tellCalls } from './syscalls.js'
import { BUILT_IN, type Explanation, type Told, type ToldRule, type ToldValue, type Why } from './types.js'

/** `tell` puts an origin into the words of who asked: flags, where flags were typed. */
export function explain(profile: Profile, facts: HostFacts, tell = (origin: string) => origin): Explanation {
  const told = <T extends { origin: string }>(item: T): Told<T> => ({
    ...item,
    origin: tell(item.origin),
    why: whyOf(item.origin)
  })
  const placed = <T extends { origin: string }>(item: T): T => ({ ...item, origin: tell(item.origin) })
  const { name, purpose, command, identity, hostname, tempDirectory, devices, tolerate } = profile
  return {
    profile: { name, purpose },
    command: command.argv.length === 0 ? null : command,
    identity,
    hostname,
    tempDirectory,
    grants: profile.grants.map(told),
    unixSockets: profile.sockets.map(placed),
    symlinks: profile.symlinks.map(placed),
    files: profile.files.map(({ path, origin }) => ({ path, origin: tell(origin) })),
    denies: profile.denies.map(told),
    mediation: mediationOf(profile, tell),
    network: networkOf(profile.network, tell),
    devices,
    env: profile.env.map(([variable]) => ({ name: variable, origin: tell(envOrigin(profile, variable)) })),
    limits: limitsOf(profile, tell),
    syscalls: tellCalls(profile, facts),
    tolerate,
    audit: profile.audit.file ?? null,
    settings: settingsOf(profile, tell),
    protections: findings(profile, facts),
    policyFiles: profile.policy?.files ?? [],
    notes: [
      ...profile.notes.map(placed),
      ...(profile.policy?.unenforced ?? []).map(({ field, origin, reason }) => ({
        text: `${field}: ${reason}`,
        origin
      }))
    ]
  }
}

function whyOf(origin: string): Why {
  if (origin.startsWith('mandatory:')) return 'mandatory'
  if (origin.startsWith('closure: system') || origin.startsWith('system:')) return 'default'
  return origin.startsWith('closure:') ? 'command' : 'policy'
}

/** Programs get the patterns as they were written. */
function mediationOf({ mediation }: Profile, tell: (origin: string) => string): Explanation['mediation'] {
  if (!mediation) return null
  const { patterns, folders, executables } = mediation
  return {
    patterns: patterns.map(({ text, origin }) => ({ pattern: text, origin: tell(origin) })),
    folders,
    executables
  }
}

function networkOf({ mode, innerLoopback, rules, resolver }: Profile['network'], tell: (origin: string) => string) {
  const told = (rule: string, { origin }: { origin: string }): ToldRule => ({ rule, origin: tell(origin) })
  return {
    mode,
    innerLoopback,
    rules: [
      ...(rules?.hosts ?? []).map((rule) => told(hostLine(rule), rule)),
      ...(rules?.loopback ?? []).map((rule) => told(`loopback ${rule.port}`, rule)),
      ...(rules?.publish ?? []).map((rule) => told(`publish ${rule.port}`, rule))
    ],
    maxConnections: rules?.maxConnections ?? null,
    onDenied: rules?.onDenied ?? null,
    askMs: rules?.askMs ?? null,
    ...(resolver ? { resolver } : {})
  }
}

function settingsOf({ enforcement, audit, syscalls, origins }: Profile, tell: (origin: string) => string): ToldValue[] {
  const origin = (key: string) => tell(origins[key] ?? BUILT_IN)
  return [
    { name: 'enforcement', value: enforcement, origin: origin('enforcement') },
    { name: 'audit.files', value: audit.files, origin: origin('audit.files') },
    ...syscalls.oci.map((each) => ({
      name: 'syscalls.oci',
      value: `${each.rules.length} rules`,
      origin: tell(each.origin)
    }))
  ]
}

const OURS: Record<string, string> = { HOME: 'the caller’s home', TMPDIR: 'the private tmp' }

function envOrigin({ origins }: Profile, name: string): string {
  return origins[`env.${name}`] ?? OURS[name] ?? `${BUILT_IN}: passed on`
}

/** Where a limit is written that has another name in the policy. */
const WRITTEN: Partial<Record<keyof ProfileLimits, string>> = { maxFileSize: 'filesystem.maxFileSize' }

function limitsOf({ limits, origins }: Profile, tell: (origin: string) => string): ToldValue[] {
  return Object.entries(limits).flatMap(([name, value]) => {
    if (value === undefined) return []
    const field = WRITTEN[name as keyof ProfileLimits] ?? `resources.${name}`
    const origin = origins[field]
    return [{ name, value, origin: origin === undefined ? BUILT_IN : tell(origin) }]
  })
}
