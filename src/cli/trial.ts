import { QiError } from '../errors.js'
import type { HostFacts } from '../host/facts.js'
import { launchProfile } from '../launch/spawn.js'
import type { SandboxConfig } from '../policy/config.js'
import { resolve } from '../profile/resolve.js'
import type { Profile } from '../profile/types.js'
import { LAUNCHER, place } from './run.js'

/** One launch that was tried. */
export interface Trial {
  ok: boolean
  /** Milliseconds until the payload ran. */
  ms?: number
  /** Of the jail, where it had one. */
  cgroup?: string
  /** Why not, in our own words. */
  error?: string
  /** The step of the launch that failed. */
  step?: string
}

/** Of a command that is surely there, without the policy files of here. */
export function profileOf(config: SandboxConfig, facts: HostFacts, cwd = place().cwd): Profile {
  return resolve({ config, argv: [process.execPath, '--version'], ...place(), cwd }, facts)
}

/** What the host allows is found by doing it: several things that forbid a launch cannot be read anywhere. */
export async function attempt(profile: Profile): Promise<Trial> {
  const start = performance.now()
  try {
    const jail = await launchProfile(profile, { stdio: 'ignore', ...LAUNCHER })
    const ms = Math.round(performance.now() - start)
    const { code, signal } = await jail.exited
    if (code === 0) return { ok: true, ms, ...(jail.cgroup === undefined ? {} : { cgroup: jail.cgroup }) }
    return { ok: false, ms, error: `node --version ended with ${signal ?? code}` }
  } catch (error) {
    return failed(error)
  }
}

/** @throws what is no refusal of ours */
export function failed(error: unknown): Trial {
  if (!(error instanceof QiError)) throw error
  return {
    ok: false,
    error: `${error.code}: ${error.message}`,
    ...(error.stepName === undefined ? {} : { step: error.stepName })
  }
}
