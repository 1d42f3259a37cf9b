import { closeSync, fstatSync } from 'node:fs'
import { homedir } from 'node:os'
import { QiError } from '../errors.js'
import { ownDirectory } from '../host/cwd.js'
import type { HostFacts } from '../host/facts.js'
import { probeHost } from '../host/probe.js'
import { withoutCgroup } from '../plan/limit-states.js'
import type { SandboxConfig } from '../policy/index.js'
import { CONTROL_ORIGIN } from '../profile/control.js'
import type { Profile } from '../profile/types.js'
import { askMilliseconds, type OnConnect } from './ask.js'
import { openAudit, STDERR } from './audit-file.js'
import { tryFolder } from './ctl-folder.js'
import { type ControlAbout, checkId, serveControl } from './ctl-server.js'
import { addonError } from './failure.js'
import { Jail } from './jail.js'
import { loadAddon, monitorPath } from './locate.js'
import type { NativeAddon } from './native.js'
import { type Prepared, type PrepareOptions, prepareProfile, prepareRequest } from './prepare.js'

/** `pipe`: a stream on the jail; `inherit`: ours; `ignore`: /dev/null; a number: that descriptor. */
export type StdioChoice = 'pipe' | 'inherit' | 'ignore' | number

export interface SpawnOptions {
  /** One choice for all three, or one each. Default `pipe`. */
  stdio?: StdioChoice | [StdioChoice, StdioChoice, StdioChoice]
  /** Aborting kills the jail. */
  signal?: AbortSignal
  /** The caller's environment, from which the allow-listed variables are taken. Default process.env. */
  env?: Record<string, string | undefined>
  /** The caller's working directory, against which relative paths resolve. Default process.cwd(). */
  cwd?: string
  /**
   * Read the policy files of the system, the user and the project (docs/policy.md); a text: that file, too. Default: none,
   * so that the configuration alone decides.
   */
  policyFiles?: boolean | string
  /** What the MCP client calls this server: for `servers:` of the policy files. */
  server?: string
  /** For every event's source.correlationId. */
  correlationId?: string
  /** Arguments that are not UTF-8, by index, and values of variables, by name: their bytes. */
  rawArgv?: ReadonlyMap<number, Uint8Array>
  rawEnv?: ReadonlyMap<string, Uint8Array>
  /**
   * Asked about each host that no rule names while the payload waits for it. Throwing, another answer or none within
   * `askTimeout` denies.
   */
  onConnect?: OnConnect
  /** Milliseconds for `onConnect`. Default 30 s. */
  askTimeout?: number
  /** Let `qi-jail ctl` reach this jail, under `id` or, without one, under eight random hex digits (Jail.id). */
  control?: boolean
  id?: string
  /** @internal Origins of rules as `qi-jail ctl` shows them. */
  tell?: (origin: string) => string
  /** @internal The caller's home. Default that of its environment. */
  home?: string
  /** @internal Our own process, where it does nothing but wait: it may be moved to a cgroup beside the jail's. */
  launcherPid?: number
  /** Record when each numbered step of the launch began (Jail.trace). */
  traceSteps?: boolean
}

/** @internal For tests: another qi-monitor and its environment. */
export interface MonitorOverride {
  monitor?: string
  monitorEnvironment?: string[]
}

/**
 * Runs `argv` in a jail of its own. Resolves once it was exec'ed, every layer verified; rejects, with nothing started or
 * left, when any of them could not be applied.
 *
 * @throws QiError with a stable code (docs/errors.md).
 */
export async function spawnSandboxed(
  config: SandboxConfig,
  argv: string[],
  options: SpawnOptions & MonitorOverride = {}
): Promise<Jail> {
  options.signal?.throwIfAborted()
  return launch(prepared(config, argv, options), options)
}

/** @internal What that comes to on this host, now. */
export function prepared(config: SandboxConfig, argv: string[], options: SpawnOptions): Prepared {
  const { env = process.env, cwd = ownDirectory(), home = homeOf(env) } = options
  const request = { config, argv, env, cwd, home, ...files(options), ...asking(options) }
  return prepareRequest(request, hostFacts(options), planOptions(options))
}

/** @internal */
export const homeOf = (env: Record<string, string | undefined>): string => env.HOME || homedir()

const files = ({ policyFiles, server }: SpawnOptions) => ({
  ...(policyFiles === undefined ? {} : { policyFiles }),
  ...(server === undefined ? {} : { server })
})

/** @internal What `resolve` has to know of it. */
export const asking = ({ onConnect, askTimeout }: SpawnOptions): { askMs?: number } =>
  onConnect ? { askMs: askMilliseconds(askTimeout) } : {}

/** The part of spawnSandboxed after `resolve`, for callers that want to look at the profile first. */
export async function launchProfile(profile: Profile, options: SpawnOptions & MonitorOverride = {}): Promise<Jail> {
  options.signal?.throwIfAborted()
  return launch(prepareProfile(profile, hostFacts(options), planOptions(options)), options)
}

/** @internal */
export const hostFacts = ({ launcherPid }: SpawnOptions): HostFacts =>
  probeHost(launcherPid === undefined ? {} : { launcherPid })

/** @internal Only what is set: it is part of the key under which a plan is kept. */
export const planOptions = ({ correlationId, traceSteps, rawArgv, rawEnv }: SpawnOptions): PrepareOptions => ({
  ...(correlationId ? { correlationId } : {}),
  ...(traceSteps ? { traceSteps } : {}),
  ...(rawArgv?.size ? { rawArgv } : {}),
  ...(rawEnv?.size ? { rawEnv } : {})
})

/** @internal */
export const launch = (prepared: Prepared, options: SpawnOptions & MonitorOverride): Promise<Jail> =>
  handOut(start(prepared, options), prepared, options)

/** @internal Starts qi-monitor with a finished plan. `held`: the jail waits for `go`. */
export function start(prepared: Prepared, options: SpawnOptions & MonitorOverride, held = false): Jail {
  const stdio = stdioNumbers(options.stdio ?? 'pipe')
  checkId(options.id)
  refuseUnasked(prepared.profile, options)
  coverControl(prepared.profile)
  const { audit: recorded, grants } = prepared.profile
  const audit = openAudit(
    recorded.file,
    grants.some((grant) => grant.access === 'rw')
  )
  try {
    const spawned = startMonitor({
      monitor: options.monitor ?? monitorPath(),
      plan: prepared.plan(held),
      stdio,
      auditFd: audit,
      ...(options.monitorEnvironment ? { environment: options.monitorEnvironment } : {})
    })
    const { profile, protections, facts } = prepared
    const { onConnect } = options
    return new Jail({
      ...spawned,
      protections,
      network: profile.network,
      withoutCgroup: (why) => withoutCgroup(profile, facts, protections, why),
      ...(onConnect ? { onConnect } : {})
    })
  } finally {
    if (audit > STDERR) closeSync(audit)
  }
}

/** @internal When its payload runs, it is the caller's. */
export async function handOut(jail: Jail, prepared: Prepared, options: SpawnOptions): Promise<Jail> {
  const { signal } = options
  if (signal) {
    const abort = () => jail.kill('SIGKILL')
    signal.addEventListener('abort', abort)
    void jail.exited.then(() => signal.removeEventListener('abort', abort))
  }
  try {
    await jail.ready()
    if (options.control || options.id !== undefined) await makeReachable(jail, prepared.profile, options)
  } catch (error) {
    jail.kill('SIGKILL')
    await jail.exited // nothing may be left when the caller learns of it
    for (const stream of [jail.stdin, jail.stdout, jail.stderr]) stream?.destroy()
    throw error
  }
  if (jail.stdout || jail.stderr) setImmediate(() => jail.beginReading())
  return jail
}

function refuseUnasked({ network }: Profile, { onConnect }: SpawnOptions): void {
  if (!onConnect || network.rules?.askMs !== undefined) return
  throw new QiError('QI_CONFIG', 'onConnect: this profile was resolved without asking in mind', {
    field: 'onConnect',
    hint: 'give `resolve` askMs, or use spawnSandboxed'
  })
}

/** @internal Gives it a control socket and its id. */
export async function makeReachable(
  jail: Jail,
  { name, command }: Profile,
  { id, tell }: { id?: string | undefined; tell?: ControlAbout['tell'] }
): Promise<void> {
  const about = { pid: jail.pid, profile: name, command: command.argv.join(' ').slice(0, 1024) }
  jail.id = (await serveControl(jail, { ...about, ...(tell ? { tell } : {}) }, id)).id
}

/** @internal A grant reaches around the folder of the control sockets: it must be there to be covered. */
export function coverControl({ denies }: Profile): void {
  for (const { path } of denies.filter((deny) => deny.origin === CONTROL_ORIGIN)) {
    const reason = tryFolder(path)
    if (reason === undefined) continue
    throw new QiError(
      'QI_CONTROL',
      `the folder of the control sockets cannot be kept from the payload: ${path} ${reason}`,
      {
        path,
        hint: 'remove it, or grant less'
      }
    )
  }
}

function startMonitor(request: Parameters<NativeAddon['spawn']>[0]): ReturnType<NativeAddon['spawn']> {
  try {
    return loadAddon().spawn(request)
  } catch (cause) {
    throw addonError('QI_SPAWN', 'could not start qi-monitor', cause)
  }
}

function stdioNumbers(choice: StdioChoice | [StdioChoice, StdioChoice, StdioChoice]): [number, number, number] {
  const each = Array.isArray(choice) ? choice : [choice, choice, choice]
  return [0, 1, 2].map((i) => {
    const one = each[i]
    if (one === 'pipe') return -1
    if (one === 'ignore') return -2
    const fd = one === 'inherit' ? i : one
    if (typeof fd === 'number' && isOpen(fd)) return fd
    throw new QiError(
      'QI_CONFIG',
      `stdio[${i}] = ${String(one)}: is neither pipe, inherit, ignore nor an open descriptor`,
      {
        field: `stdio[${i}]`,
        value: one,
        hint: 'give one choice for all three streams, or a list of three'
      }
    )
  }) as [number, number, number]
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd)
    return true
  } catch {
    return false
  }
}
