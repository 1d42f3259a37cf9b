import type { VerdictValue } from '../plan/layout.gen.js'
import { Verdict } from '../plan/layout.gen.js'
import type { Calls } from './conditions.js'

export interface Group {
  /** `rule` of the audit event of a refusal. */
  name: string
  reason: string
  calls: Calls
  /** What happens in the cases that `calls` does not allow; absent where all are. */
  otherwise?: Otherwise
}

/** Asked of qi-monitor, or answered in the filter with ENOSYS, unrecorded: the caller is expected to fall back. */
export type Otherwise = { verdict: VerdictValue; error: number } | 'enosys'

export const EPERM = 1
export const EACCES = 13
export const EINVAL = 22
export const ENOSYS = 38

export const refuse = (error: number): Otherwise => ({ verdict: Verdict.Refuse, error })
export const ask = (verdict: VerdictValue, error = EPERM): Otherwise => ({ verdict, error })
