import { randomUUID } from 'node:crypto'
import { closeSync, constants, openSync } from 'node:fs'
import { homedir } from 'node:os'
import { QiError } from '../errors.js'
import { auditHead } from '../event/head.js'
import type { FilterSpec } from '../filter/types.js'
import { probeHost } from '../host/probe.js'
import { buildPlan, encodePlan } from '../plan/index.js'
import type { SandboxConfig } from '../policy/index.js'
import { resolve } from '../profile/index.js'
import type { Profile } from '../profile/types.js'
import { Jail } from './jail.js'
import { loadAddon, monitorPath } from './locate.js'

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
  /** For every event's source.correlationId. */
  correlationId?: string
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
  const profile = resolve(
    {
      config,
      argv,
      env: options.env ?? process.env,
      cwd: options.cwd ?? process.cwd(),
      home: options.env?.HOME ?? homedir()
    },
    probeHost()
  )
  return launchProfile(profile, options, config.audit?.file)
}

/** The part after `resolve`: builds the plan of a profile and launches it. */
export async function launchProfile(
  profile: Profile,
  options: SpawnOptions & MonitorOverride = {},
  auditFile?: string | number
): Promise<Jail> {
  options.signal?.throwIfAborted()
  const addon = loadAddon()
  const audit = openAudit(auditFile)
  let jail: Jail
  try {
    const { plan, protections } = buildPlan(profile, probeHost(), {
      compile: compileOnce,
      auditHead: auditHead({
        sessionId: randomUUID(),
        userId: profile.audit.userId,
        ...(options.correlationId ? { correlationId: options.correlationId } : {})
      }),
      control: true,
      auditFile: audit >= 0,
      traceSteps: options.traceSteps ?? false
    })
    const spawned = spawnMonitor(options, encodePlan(plan), audit)
    jail = new Jail({ ...spawned, protections })
  } finally {
    if (audit >= 0 && typeof auditFile !== 'number') closeSync(audit)
  }
  const abort = () => jail.kill('SIGKILL')
  options.signal?.addEventListener('abort', abort)
  void jail.exited.then(() => options.signal?.removeEventListener('abort', abort))
  try {
    await jail.ready()
  } catch (error) {
    await jail.exited // nothing may be left when the caller learns of it
    for (const stream of [jail.stdin, jail.stdout, jail.stderr]) stream?.destroy()
    throw error
  }
  return jail

  function spawnMonitor(choice: SpawnOptions & MonitorOverride, plan: Uint8Array, auditFd: number) {
    try {
      return addon.spawn({
        monitor: choice.monitor ?? monitorPath(),
        plan,
        stdio: stdioNumbers(choice.stdio ?? 'pipe'),
        auditFd,
        ...(choice.monitorEnvironment ? { environment: choice.monitorEnvironment } : {})
      })
    } catch (cause) {
      const { syscall, code } = cause as { syscall?: string; code?: string }
      const details = { cause, ...(syscall ? { syscall } : {}) }
      throw new QiError('QI_SPAWN', `could not start qi-monitor: ${(cause as Error).message}`, code ? details : { cause })
    }
  }
}

function stdioNumbers(choice: StdioChoice | [StdioChoice, StdioChoice, StdioChoice]): [number, number, number] {
  const each = Array.isArray(choice) ? choice : [choice, choice, choice]
  return each.map((one, i) => {
    if (one === 'pipe') return -1
    if (one === 'ignore') return -2
    const fd = one === 'inherit' ? i : one
    if (typeof fd === 'number' && Number.isInteger(fd) && fd >= 0) return fd
    throw new QiError('QI_CONFIG', `stdio[${i}] is neither pipe, inherit, ignore nor a descriptor`, {
      field: `stdio[${i}]`,
      value: one
    })
  }) as [number, number, number]
}

/** -1 for none. Opened here, by the caller's rights, and only ever appended to. */
function openAudit(file: string | number | undefined): number {
  if (file === undefined) return -1
  if (typeof file === 'number') return file
  try {
    return openSync(file, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code
    throw new QiError('QI_AUDIT_FILE', `cannot append to the audit file ${file}: ${errno}`, {
      field: 'audit.file',
      value: file,
      path: file,
      ...(errno ? { errno } : {}),
      hint: 'name a file in a folder that you may write',
      cause
    })
  }
}

const compiled = new Map<string, Uint8Array>()

/** libseccomp takes a millisecond for a filter; there are few different ones. */
function compileOnce(spec: FilterSpec): Uint8Array {
  const key = JSON.stringify(spec, (_, value) => (typeof value === 'bigint' ? value.toString() : value))
  const found = compiled.get(key)
  if (found) return found
  const bpf = loadAddon().compileFilter(spec)
  compiled.set(key, bpf)
  return bpf
}
