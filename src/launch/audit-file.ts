import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { QiError, type QiErrorDetails } from '../errors.js'

export const STDERR = 2

// O_NONBLOCK: a FIFO that nobody reads is an error here, and one whose reader sleeps loses lines, which are counted, later.
const AUDIT_FLAGS =
  constants.O_WRONLY |
  constants.O_APPEND |
  constants.O_CREAT |
  constants.O_NOFOLLOW |
  constants.O_NONBLOCK |
  constants.O_NOCTTY

/**
 * -1 for none; `-` is standard error. Opened here, by the caller's rights, and only ever appended to. `hasWriter`: the payload
 * may write something of the host, so the file must have no name that is not kept from it.
 */
export function openAudit(file: string | undefined, hasWriter: boolean): number {
  if (file === undefined) return -1
  if (file === '-') return STDERR
  let fd: number
  try {
    fd = openSync(file, AUDIT_FLAGS, 0o600)
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code
    throw auditError(file, String(errno), 'name a file in a folder that you may write', {
      ...(errno ? { errno } : {}),
      cause
    })
  }
  if (hasWriter && fstatSync(fd).nlink > 1) {
    closeSync(fd)
    throw auditError(
      file,
      'it has further names (hard links), by which a payload may write it',
      'name another file',
      {}
    )
  }
  return fd
}

const auditError = (file: string, reason: string, hint: string, details: QiErrorDetails): QiError =>
  new QiError('QI_AUDIT_FILE', `cannot append to the audit file ${file}: ${reason}`, {
    field: 'audit.file',
    value: file,
    path: file,
    hint,
    ...details
  })
