import { QiError } from '../errors.js'

/** What a launch without a jail still has of the policy: nothing that restricts it. */
export interface BareLaunch {
  /** Where one was asked for. */
  cwd?: string
  /** Absolute, or `-`. */
  auditFile?: string
  /** Variables that the policy sets. */
  env: Record<string, string>
}

/**
 * A policy file turns the jail off. An error to everybody who asked for one; the command line tool, which was asked for a
 * command under these policies, starts it without.
 */
export class JailDisabled extends QiError {
  constructor(
    /** `file:line:column: security.global.enforcement_mode` */
    readonly origin: string,
    readonly launch: BareLaunch
  ) {
    super('QI_POLICY_DISABLED', `${origin} = "disabled": a policy file turns the jail off`, {
      field: 'security.global.enforcement_mode',
      value: 'disabled',
      hint: 'write strict there, or launch without policy files'
    })
  }
}
