import { constants } from 'node:os'
import { QiError } from '../errors.js'
import { networkState } from '../launch/ctl-network.js'
import { launchError, type StepFailure } from '../launch/failure.js'
import { STEPS } from '../launch/steps.gen.js'
import { type ForegroundPlan, Telling } from '../plan/index.js'
import { controlFolders } from '../profile/control.js'
import type { Profile } from '../profile/types.js'
import { limitSentences } from './limit-notice.js'
import { inFlags, type RunOptions } from './options.js'
import { whatExplains } from './refusals.js'
import { errorLine, noticeLines, statusOf } from './report.js'
import { tierNotice } from './tier-notice.js'

/**
 * Whether this run needs a process that runs TypeScript as long as it runs: who asks a person, or logs for one. The last is
 * for tests, in which both ways have to say the same.
 */
export const staysResident = ({ ask, verbose }: RunOptions, env = process.env): boolean =>
  ask === true || verbose === true || Boolean(env.QI_LOG) || env.QI_JAIL_RESIDENT === '1'

/** What qi-monitor is to say in our place, all of it in our words: native/monitor/foreground.cc only fills in figures. */
export const foregroundOf = (options: RunOptions, profile: Profile): ForegroundPlan => ({
  telling: options.quiet ? Telling.Nothing : options.json ? Telling.Json : Telling.Sentences,
  started: noticeLines(options, ...tierNotice(profile)).join('\n'),
  explained: whatExplains(options.audit) ?? '',
  ends: endsOf(profile),
  lateFailures: lateFailures(options, profile),
  retry: [process.execPath, ...process.execArgv, process.argv[1] ?? ''],
  controlFolders: controlFolders(process.env, process.getuid?.() ?? 0),
  id: options.id ?? '',
  networkState: networkState(profile.network, (origin) => inFlags(origin, options))
})

function endsOf({ limits }: Profile): ForegroundPlan['ends'] {
  const end = { code: null, refusals: 0, fileRefusals: 0, permitted: 0, lostEvents: 0 }
  const limit = (['memory', 'pids', 'time', 'killed-by-policy'] as const).flatMap((reason) => {
    const told = limitSentences({ ...end, signal: 'SIGKILL', terminationReason: reason }, limits, undefined)
    return told.map((text) => ({ reason, signal: 0, text }))
  })
  const signals = Object.entries(constants.signals) as [NodeJS.Signals, number][]
  const crash = signals.flatMap(([signal, number]) => {
    const told = limitSentences({ ...end, signal, terminationReason: 'signal' }, limits, undefined)
    return told.map((text) => ({ reason: 'signal', signal: number, text }))
  })
  return [...limit, ...crash]
}

/** What can go wrong after qi-monitor has given up its rights, and so the way back to us. */
const LATE: [step: string, errno: (keyof typeof constants.errno)[], detail: (profile: Profile) => string][] = [
  ['InstallFilter', ['EBUSY'], () => 'another seccomp listener is active'],
  ['InstallFilter', ['EINVAL', 'ENOMEM'], () => ''],
  ['Exec', ['ENOENT', 'EACCES', 'ENOEXEC', 'E2BIG'], ({ command }) => command.file],
  ['RecordLaunch', ['ENOSPC', 'EDQUOT', 'EFBIG', 'EPIPE', 'EIO'], () => 'the audit file takes no more'],
  ['OpenJailRoot', ['ENOSYS', 'EPERM'], () => '']
]

function lateFailures(options: RunOptions, profile: Profile): ForegroundPlan['lateFailures'] {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0 // nobody reads them, and they take longer than all the rest here
  const failures = LATE.flatMap(([name, errnos, detail]) => {
    const step = Number(Object.keys(STEPS).find((number) => STEPS[Number(number)]?.name === name))
    return errnos.map((errno) => {
      const error = launchError({ step, errno: constants.errno[errno], detail: detail(profile) })
      return { step, error: constants.errno[errno], status: statusOf(error), line: errorLine(options, error) }
    })
  })
  Error.stackTraceLimit = stackTraceLimit
  return failures
}

/** @throws QiError of the launch that qi-monitor, in our place before, tells us has failed. */
export function tellFailedLaunch(env = process.env): void {
  const { QI_JAIL_LAUNCH_FAILED: told, QI_JAIL_KEPT_PLAN: kept } = env
  delete env.QI_JAIL_LAUNCH_FAILED
  delete env.QI_JAIL_KEPT_PLAN
  // Of a kept plan it may be the plan that is at fault: once more, from the beginning.
  if (told === undefined || kept !== undefined) return
  const [, step, errno, detail = ''] = /^(\d+) (\d+) (.*)$/s.exec(told) ?? []
  if (step === undefined)
    throw new QiError('QI_INTERNAL', `QI_JAIL_LAUNCH_FAILED = ${JSON.stringify(told)}: is none of qi-monitor's`)
  throw launchError({ step: Number(step), errno: Number(errno), detail } satisfies StepFailure)
}
