/** Where in what a person wrote the fault lies, what the kernel said, and what to do about it. */
export interface QiErrorDetails {
  /** Config key, flag or file position at fault, e.g. `filesystem.readOnlyPaths[0]` or `--memory`. */
  field?: string
  /** The offending value, as written. */
  value?: unknown
  /** Numbered launch step (docs/errors.md) that failed. */
  step?: number
  stepName?: string
  /** Symbolic errno, e.g. `EPERM`. */
  errno?: string
  syscall?: string
  path?: string
  /** One sentence: what the reader changes to make it work. */
  hint?: string
  cause?: unknown
}

/**
 * The one error type of qi-jail. `code` is stable (`QI_…`, listed in docs/errors.md); `message` names field, value and
 * remedy. The payload's own failure is never thrown: it is the result of the jail.
 */
export class QiError extends Error {
  readonly code: string
  readonly field?: string
  readonly value?: unknown
  readonly step?: number
  readonly stepName?: string
  readonly errno?: string
  readonly syscall?: string
  readonly path?: string
  readonly hint?: string

  constructor(code: `QI_${string}`, message: string, details: QiErrorDetails = {}) {
    super(
      details.hint ? `${message} (${details.hint})` : message,
      details.cause === undefined ? undefined : { cause: details.cause }
    )
    this.name = 'QiError'
    this.code = code
    const { cause: _cause, ...rest } = details
    Object.assign(this, rest)
  }
}
