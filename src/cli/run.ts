import { constants, homedir } from 'node:os'
import { covering } from '../cache/folder.js'
import { Observation } from '../cache/keep.js'
import { QiError } from '../errors.js'
import type { Refused } from '../explain/recorded.js'
import { ownDirectory } from '../host/cwd.js'
import { probeHost } from '../host/probe.js'
import { type AskAnswer, askMilliseconds, hostAndPort, MAX_ASK_MS } from '../launch/ask.js'
import { becomeMonitor } from '../launch/become.js'
import { checkId, freePath } from '../launch/ctl-server.js'
import type { Jail, JailExit } from '../launch/jail.js'
import { randomUint16 } from '../launch/random.js'
import { launchProfile, makeReachable } from '../launch/spawn.js'
import type { SandboxConfig } from '../policy/index.js'
import { parseDuration } from '../policy/units.js'
import { JailDisabled } from '../profile/disabled.js'
import { type ResolveRequest, resolve } from '../profile/resolve.js'
import type { Profile } from '../profile/types.js'
import { askOnTerminal } from './ask.js'
import { runBare } from './bare.js'
import { foregroundOf, staysResident, tellFailedLaunch } from './foreground.js'
import { limitSentences, reachedLimit } from './limit-notice.js'
import { type Log, openLog } from './log.js'
import { inFlags, type RunOptions, toConfig } from './options.js'
import { rawArguments, rawEnvironment } from './raw.js'
import { isRoutine, refusalSentence, watchRefusals } from './refusals.js'
import type { Reporter } from './report.js'
import { forwardSignals } from './signals.js'
import { tierNotice } from './tier-notice.js'

/** This process only waits for its jail, so it may be moved to where it keeps no cgroup from the jail. */
export const LAUNCHER = { launcherPid: process.pid }

/** The profile that these flags, here and now, come to. `explaining`: also without a command. */
export function resolveRun(
  options: RunOptions,
  command: string[],
  {
    config = toConfig(options),
    explaining = false,
    observation
  }: { config?: SandboxConfig; explaining?: boolean; observation?: Observation | undefined } = {}
): Profile {
  const request = {
    ...requestOf(options, command),
    config,
    explaining,
    random: randomUint16,
    ...observation?.request()
  }
  const facts = probeHost(LAUNCHER)
  return resolve(request, observation?.facts(facts) ?? facts)
}

/** @internal What these flags ask of `resolve`. */
export function requestOf(options: RunOptions, command: string[]): ResolveRequest {
  return {
    config: toConfig(options),
    argv: command,
    ...place(),
    policyFiles: options.policy ?? true,
    ...(options.server === undefined ? {} : { server: options.server }),
    ...asking(options)
  }
}

/** Where this process is, as resolving wants to know it. */
export const place = () => ({ env: process.env, cwd: ownDirectory(), home: process.env.HOME || homedir() })

/** What --ask adds to the request. */
function asking({ ask, askTimeout: written }: RunOptions): { askMs?: number } {
  if (!ask) return {}
  if (written === undefined) return { askMs: askMilliseconds(undefined) }
  const { value, reason } = parseDuration(written)
  if (value !== undefined && value <= MAX_ASK_MS) return { askMs: value }
  const message = `--ask-timeout = ${JSON.stringify(written)}: ${reason ?? 'is longer than 10 minutes'}`
  throw new QiError('QI_LIMIT', message, { field: '--ask-timeout', value: written, hint: 'write 30s, or 2m' })
}

/** Runs the command with our own stdio, untouched by us, and gives the status to exit with. */
export async function run(options: RunOptions, command: string[], reporter: Reporter): Promise<number> {
  tellFailedLaunch()
  const observation = observe(options)
  const profile = jailOrBare(options, command, reporter, observation)
  if (!staysResident(options)) await leave(profile, options, command, observation)
  // What was resolved to be kept has no host id of its own yet.
  return stay(observation ? resolveRun(options, command) : profile, options, command, reporter)
}

/** What qi-monitor is told, and tells, of rules is a line of 64 KiB, in which they are twice once they were changed. */
const MAX_NETWORK_STATE = 24 << 10

/** Of a run whose plan may be kept. One with a name may meet a jail that has it, of which who looks has to tell. */
const observe = (options: RunOptions): Observation | undefined =>
  staysResident(options) || options.cache === false || options.id !== undefined
    ? undefined
    : new Observation(process.env, ownDirectory(), process.argv.slice(2))

/** Hands the run over to qi-monitor, which takes this process; comes back where that is not possible. */
async function leave(
  profile: Profile,
  options: RunOptions,
  command: string[],
  observation: Observation | undefined
): Promise<void> {
  const id = checkId(options.id)
  if (id !== undefined) await freePath(id)
  const foreground = foregroundOf(options, profile)
  if (foreground.networkState.length > MAX_NETWORK_STATE) return
  const seen = { argv: ['qi-jail', ...process.argv.slice(2)], foreground }
  becomeMonitor(profile, { ...seen, observation, ...LAUNCHER, ...rawOf(profile, command) })
}

const rawOf = (profile: Profile, command: string[]) => ({
  rawArgv: rawArguments(command, profile.command.argv),
  rawEnv: rawEnvironment(process.env)
})

async function stay(profile: Profile, options: RunOptions, command: string[], reporter: Reporter): Promise<number> {
  const log = await openLog(options.verbose === true)
  const attach = forwardSignals()
  log.debug({ profile: profile.name, command: profile.command, grants: profile.grants.length }, 'resolved')
  const onConnect = options.ask ? askOnTerminal() : undefined
  const tell = (origin: string) => inFlags(origin, options)
  const id = options.id === undefined ? {} : { id: options.id, tell }
  const asks = onConnect ? { onConnect } : {}
  const jail = await launchProfile(profile, {
    stdio: 'inherit',
    ...LAUNCHER,
    ...rawOf(profile, command),
    ...id,
    ...asks
  })
  const limit = reachedLimit(jail)
  const refused = watchRefusals(jail)
  jail.on('askDecision', (answer) => reporter.notices(decided(answer), { askDecision: answer }))
  attach(jail)
  logJail(jail, log)
  reporter.notices(...tierNotice(profile))
  if (options.id === undefined) await reachable(jail, profile, tell, log)
  const exit = await jail.exited
  log.info(exit, 'ended')
  reporter.notices([...limitSentences(exit, profile.limits, limit()), ...sentences(exit, await refused, options)], {
    exit
  })
  return exit.code ?? 128 + (constants.signals[exit.signal as NodeJS.Signals] ?? 0)
}

/** Does not come back where a policy file turns the jail off. */
function jailOrBare(
  options: RunOptions,
  command: string[],
  reporter: Reporter,
  observation: Observation | undefined
): Profile {
  try {
    return covering(() => resolveRun(options, command, { observation }), place())
  } catch (error) {
    if (error instanceof JailDisabled) return runBare(error, command, reporter)
    throw error
  }
}

/** A run whose --id nobody asked for goes on without: it is no part of the jail. */
async function reachable(jail: Jail, profile: Profile, tell: (origin: string) => string, log: Log): Promise<void> {
  try {
    await makeReachable(jail, profile, { tell })
    log.info({ id: jail.id }, 'reachable by qi-jail ctl')
  } catch (error) {
    log.info({ reason: (error as Error).message }, 'not reachable by qi-jail ctl')
  }
}

function decided({ decision, reason, host, port }: AskAnswer): string[] {
  const target = hostAndPort(host, port)
  if (decision === 'always')
    return [`to allow it always, add to your profile: network: { allowedHosts: [${JSON.stringify(target)}] }`]
  return reason ? [`denied ${target}: ${reason}`] : []
}

function logJail(jail: Jail, log: Log): void {
  log.info({ pid: jail.pid }, 'launched')
  for (const { name, state, reason } of jail.protections) {
    if (state !== 'enforced') log.info({ protection: name, state, reason }, 'not enforced')
  }
  jail.on('event', ({ event, context }) => log.debug({ event, parameters: context.parameters }, 'event'))
}

/** Why a run ended that did not end by itself, and how much it was refused. */
function sentences(
  { terminationReason: reason, refusals, fileRefusals, permitted, lostEvents: lost }: JailExit,
  seen: Refused[],
  { audit }: RunOptions
): string[] {
  const routine = seen.filter(isRoutine).reduce((sum, { count }) => sum + count, 0)
  const refused = refusals + fileRefusals - routine
  const worthAWord = seen.filter((each) => !isRoutine(each))
  return [
    ...(reason === 'monitor-lost' ? ['stopped: qi-monitor was killed, and the jail with it'] : []),
    ...(lost > 0 ? [`${lost === 1 ? '1 event' : `${lost} events`} could not be written`] : []),
    ...(refused > 0 ? [refusalSentence(refused, worthAWord, audit)] : []),
    ...(permitted > 0 ? [`permissive: strict would have refused ${permitted} more`] : [])
  ]
}
