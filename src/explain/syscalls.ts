import { constants } from 'node:os'
import type { Group } from '../filter/group.js'
import { SYSCALLS } from '../filter/syscalls.gen.js'
import { payloadGroups } from '../filter/table.js'
import type { HostFacts } from '../host/facts.js'
import { Verdict as Decision } from '../plan/layout.gen.js'
import { planMounts } from '../plan/mounts.js'
import type { Profile } from '../profile/types.js'
import { BUILT_IN, type ToldCalls, type Verdict } from './types.js'

/** The very groups that the filter of a launch is compiled from. */
const groupsOf = (profile: Profile, facts: HostFacts): Group[] =>
  payloadGroups({
    guardCreates: planMounts(profile, facts).guarded.size > 0,
    hostSockets: profile.network.mode === 'allowList',
    sharedNetwork: profile.network.mode === 'dangerouslyShareHostNetwork'
  })

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
  const origin = `${BUILT_IN}: ${group.name}`
  const fate = fateOf(group, name)
  if (fate === 'allowed') return { state: 'allowed', reason: group.reason, origin }
  const errno = answerOf(group)
  if (fate === 'refused') return { state: 'refused', reason: group.reason, origin, errno }
  const how = (group.calls[name] ?? []).length > 0 ? 'in some cases of its arguments' : 'where qi-monitor says so'
  return { state: 'depends', reason: `passes ${how}: ${group.reason}`, origin, errno }
}
