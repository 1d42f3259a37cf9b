import { constants } from 'node:os'
import { withChoices } from '../filter/choices.js'
import type { Group } from '../filter/group.js'
import type { OciAction, OciProfile } from '../filter/oci.js'
import { isOpen } from '../filter/refused.js'
import { SYSCALLS } from '../filter/syscalls.gen.js'
import { payloadGroups } from '../filter/table.js'
import type { HostFacts } from '../host/facts.js'
import { tierOptions } from '../plan/build.js'
import { Verdict as Decision } from '../plan/layout.gen.js'
import { planMounts } from '../plan/mounts.js'
import type { Profile } from '../profile/types.js'
import { BUILT_IN, type ToldCalls, type Verdict } from './types.js'

/** The very groups that the filter of a launch is compiled from. */
const groupsOf = (profile: Profile, facts: HostFacts): Group[] =>
  withChoices(
    payloadGroups({
      guardCreates: planMounts(profile, facts).guarded.size > 0 && !profile.mediation,
      hostSockets: profile.network.mode === 'allowList',
      sharedNetwork: profile.network.mode === 'dangerouslyShareHostNetwork',
      mediates: profile.mediation !== undefined,
      ...(profile.withoutNamespaces === undefined ? {} : { withoutNamespaces: tierOptions(profile, facts) })
    }),
    profile.syscalls
  )

const KILLED = 'killed'
const NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))

type Fate = 'allowed' | 'judged' | 'refused'

function fateOf({ calls, otherwise }: Group, name: string): Fate {
  const cases = calls[name] ?? []
  if (cases.some((conditions) => conditions.length === 0)) return 'allowed'
  if (cases.length > 0) return 'judged'
  return otherwise === undefined || otherwise === 'enosys' || otherwise.verdict === Decision.Refuse
    ? 'refused'
    : 'judged'
}

const answerOf = ({ otherwise }: Group): string =>
  otherwise === undefined ? '' : otherwise === 'enosys' ? 'ENOSYS' : (NAMES.get(otherwise.error) ?? 'EPERM')

/** Without the calls that this architecture does not have. */
export function tellCalls(profile: Profile, facts: HostFacts): ToldCalls[] {
  return groupsOf(profile, facts).map((group) => {
    const known = Object.keys(group.calls).filter((name) => SYSCALLS[name]?.[facts.arch] !== undefined)
    const of = (fate: Fate) => known.filter((name) => fateOf(group, name) === fate)
    const { name, reason } = group
    return {
      group: name,
      reason,
      allowed: of('allowed'),
      judged: of('judged'),
      refused: of('refused'),
      answer: answerOf(group)
    }
  })
}

export const isSyscall = (name: string): boolean => Object.hasOwn(SYSCALLS, name)

export function judgeSyscall(profile: Profile, facts: HostFacts, name: string): Verdict {
  const group = groupsOf(profile, facts).find(({ calls }) => Object.hasOwn(calls, name))
  if (!isSyscall(name) || SYSCALLS[name]?.[facts.arch] === undefined || !group) {
    const reason = `${facts.arch} has no such call, or it is younger than qi-jail`
    return { state: 'refused', reason, origin: BUILT_IN, errno: 'ENOSYS', fixed: reason }
  }
  const told = judgeGroup(profile, group, name)
  if (told.state === 'refused') return told
  const all = profile.syscalls.oci.map((one) => judgeImported(one, name)).filter((one) => one !== undefined)
  // Permissive lets through what they answer with an errno.
  const imported = profile.enforcement === 'permissive' ? all.filter(({ errno }) => errno === KILLED) : all
  return imported.find(({ state }) => state === 'refused') ?? imported[0] ?? told
}

function judgeGroup({ syscalls, enforcement }: Profile, group: Group, name: string): Verdict {
  const denied = syscalls.deny.some((one) => one.name === name && one.origin === group.name)
  const origin = denied ? group.name : `${BUILT_IN}: ${group.name}`
  const fate = enforcement === 'permissive' && !denied && isOpen(name, group) ? 'allowed' : fateOf(group, name)
  if (fate === 'allowed') return { state: 'allowed', reason: group.reason, origin }
  const errno = answerOf(group)
  if (fate === 'refused') return { state: 'refused', reason: group.reason, origin, errno }
  const how = (group.calls[name] ?? []).length > 0 ? 'in some cases of its arguments' : 'where qi-monitor says so'
  return { state: 'depends', reason: `passes ${how}: ${group.reason}`, origin, errno }
}

/** What an imported profile has against a call; of several rules that match the strictest counts. */
function judgeImported({ origin, fallback, rules }: OciProfile, name: string): Verdict | undefined {
  const own = rules.filter((rule) => rule.name === name)
  const always = own.filter(({ args }) => args.length === 0).map(({ action }) => action)
  const [against = always[0] ?? fallback] = always.filter(refuses)
  const others = own.filter(({ args }) => args.length > 0).map(({ action }) => action)
  const reason = 'An imported profile does not allow it'
  if (refuses(against)) {
    const passes = always.length === 0 && others.some((action) => !refuses(action))
    if (!passes) return { state: 'refused', reason: `${reason}.`, origin, errno: errnoOf(against) }
    return {
      state: 'depends',
      reason: `${reason} but in some cases of its arguments.`,
      origin,
      errno: errnoOf(against)
    }
  }
  const some = others.find(refuses)
  return some && { state: 'depends', reason: `${reason} in some cases of its arguments.`, origin, errno: errnoOf(some) }
}

const refuses = ({ kind }: OciAction): boolean => kind !== 'allow'
const errnoOf = (action: OciAction): string =>
  action.kind === 'errno' ? (NAMES.get(action.errno) ?? String(action.errno)) : KILLED
