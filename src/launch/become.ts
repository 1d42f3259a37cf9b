import { closeSync } from 'node:fs'
import { keepCode } from '../cache/code.js'
import type { Observation } from '../cache/keep.js'
import type { ForegroundPlan } from '../plan/index.js'
import type { Profile } from '../profile/types.js'
import { openAudit, STDERR } from './audit-file.js'
import { addonError } from './failure.js'
import { loadAddon, monitorPath } from './locate.js'
import { prepareProfile } from './prepare.js'
import { coverControl, hostFacts, planOptions, type SpawnOptions } from './spawn.js'

export interface BecomeOptions extends Pick<SpawnOptions, 'rawArgv' | 'rawEnv' | 'launcherPid'> {
  foreground: ForegroundPlan
  /** How the process is to be seen from then on. */
  argv: string[]
  /** Where the plan is to be kept: all that `profile` was resolved from. */
  observation?: Observation | undefined
}

/**
 * Makes this process the jail's qi-monitor: nothing of Node stays. Returns only where that is not possible, because this
 * process has children, which qi-monitor would take for its own.
 *
 * @throws QiError as a launch would, before anything is launched.
 */
export function becomeMonitor(profile: Profile, { foreground, argv, observation, ...options }: BecomeOptions): void {
  const facts = observation?.facts(hostFacts(options)) ?? hostFacts(options)
  const drawn = observation?.firstUid(profile) ?? {}
  const prepared = prepareProfile(profile, facts, { ...planOptions(options), foreground, ...drawn })
  coverControl(profile)
  const audit = openAudit(
    profile.audit.file,
    profile.grants.some((grant) => grant.access === 'rw')
  )
  observation?.keep(prepared)
  keepCode()
  try {
    loadAddon().becomeMonitor({ monitor: monitorPath(), plan: prepared.plan(), stdio: [0, 1, 2], auditFd: audit, argv })
  } catch (cause) {
    if (audit > STDERR) closeSync(audit)
    const error = addonError('QI_SPAWN', 'could not start qi-monitor', cause)
    if (error.syscall !== 'waitid') throw error
  }
}
