import { closeSync } from 'node:fs'
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
}

/**
 * Makes this process the jail's qi-monitor: nothing of Node stays. Returns only where that is not possible, because this
 * process has children, which qi-monitor would take for its own.
 *
 * @throws QiError as a launch would, before anything is launched.
 */
export function becomeMonitor(profile: Profile, { foreground, argv, ...options }: BecomeOptions): void {
  const facts = hostFacts(options)
  const { plan } = prepareProfile(profile, facts, { ...planOptions(options), foreground })
  coverControl(profile)
  const audit = openAudit(
    profile.audit.file,
    profile.grants.some((grant) => grant.access === 'rw')
  )
  try {
    loadAddon().becomeMonitor({ monitor: monitorPath(), plan: plan(), stdio: [0, 1, 2], auditFd: audit, argv })
  } catch (cause) {
    if (audit > STDERR) closeSync(audit)
    const error = addonError('QI_SPAWN', 'could not start qi-monitor', cause)
    if (error.syscall !== 'waitid') throw error
  }
}
