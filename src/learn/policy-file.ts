import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync
} from 'node:fs'
import { QiError } from '../errors.js'
import { dirname } from '../profile/fs.js'

/** The text there, or undefined; only a regular file is read. */
export function readExisting(file: string): string | undefined {
  const stat = lstatSync(file, { throwIfNoEntry: false })
  if (!stat) return undefined
  if (!stat.isFile()) throw outputError(file, 'is no regular file')
  return readFileSync(file, 'utf8')
}

/** Whole or not at all: whoever reads it meanwhile sees the old text or the new. `place` puts the draft where it belongs. */
export function replaceFile(
  file: string,
  text: string,
  place: (draft: string) => void = (d) => renameSync(d, file)
): void {
  const there = lstatSync(file, { throwIfNoEntry: false })
  const mode = there?.isFile() ? there.mode : 0o644 // a link's own is rwx for everybody
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  let fd: number | undefined
  try {
    fd = openSync(draft, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
    writeSync(fd, text)
    fchmodSync(fd, mode & 0o777)
    fsyncSync(fd)
    place(draft)
  } catch (cause) {
    if (cause instanceof QiError) throw cause
    throw outputError(file, `cannot be written: ${(cause as NodeJS.ErrnoException).code}`, cause)
  } finally {
    rmSync(draft, { force: true })
    if (fd !== undefined) closeSync(fd)
  }
}

const outputError = (file: string, reason: string, cause?: unknown): QiError =>
  new QiError('QI_OUTPUT', `--output = ${JSON.stringify(file)}: ${reason}`, {
    field: '--output',
    value: file,
    path: file,
    hint: `name a file in a folder that you may write, not ${dirname(file)}`,
    ...(cause === undefined ? {} : { cause })
  })
