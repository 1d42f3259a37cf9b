import { writeSync } from 'node:fs'
import { QiError } from '../errors.js'
import { hintFor } from '../launch/failure.js'
import { printable, printableLines } from './printable.js'

/** How our own words reach the person: on stderr, never on stdout, which is the payload's. */
export interface Reporter {
  /** Sentences for a person, or with --json `record` as one line, if there is one. */
  notices(sentences: string[], record: object | undefined): void
  /** One that --quiet does not silence; with --json in `warning`, beside `record`. */
  warning(sentence: string, record: Record<string, unknown>): void
  error(error: unknown): void
}

export interface ReportOptions {
  json?: boolean
  quiet?: boolean
}

/** Statuses that env(1), nohup(1) and shells give for the same causes. */
const STATUS: Record<string, number> = {
  QI_COMMAND_NOT_FOUND: 127,
  QI_COMMAND_NOT_EXECUTABLE: 126,
  QI_COMMAND_ARCH: 126
}
const OWN_FAILURE = 125

export const statusOf = (error: unknown): number => (error instanceof QiError && STATUS[error.code]) || OWN_FAILURE

export function createReporter(options: ReportOptions): Reporter {
  return {
    notices(sentences, record) {
      for (const line of noticeLines(options, sentences, record)) writeLine(line)
    },
    warning(message, record) {
      const line = options.json ? JSON.stringify({ warning: { ...record, message } }) : `qi-jail: ${message}`
      writeLine(printable(line))
    },
    error(error) {
      writeLine(errorLine(options, error))
    }
  }
}

/** How `notices` tells them. */
export function noticeLines({ json, quiet }: ReportOptions, sentences: string[], record: object | undefined): string[] {
  if (quiet || record === undefined) return []
  return (json ? [JSON.stringify(record)] : sentences.map((sentence) => `qi-jail: ${sentence}`)).map(printable)
}

export function errorLine({ json }: ReportOptions, error: unknown): string {
  const told = ofTheHost(error)
  return json ? printable(JSON.stringify({ error: describe(told) })) : explain(told)
}

/** Node loads our modules as they are needed, and can fail at that without a fault of ours. */
function ofTheHost(error: unknown): unknown {
  const { code, path } = (error ?? {}) as NodeJS.ErrnoException
  if (code !== 'EMFILE' && code !== 'ENFILE') return error
  const details = { errno: code, hint: hintFor(code), cause: error, ...(path ? { path } : {}) }
  return new QiError('QI_HOST', `cannot open another file: ${code}`, details)
}

/** `qi-jail: CODE: message`, and for what is no QiError (a fault of ours) where it happened. */
function explain(error: unknown): string {
  if (!(error instanceof QiError))
    return printableLines(`qi-jail: internal error: ${error instanceof Error ? error.stack : String(error)}`)
  const text = `qi-jail: ${error.code}: ${error.message}`
  // A list of what was tried has lines; any other line break comes from a path.
  return error.code === 'QI_ADDON_MISSING' ? printableLines(text) : printable(text)
}

function describe(error: unknown): Record<string, unknown> {
  if (!(error instanceof QiError)) return { code: 'QI_INTERNAL', message: explain(error) }
  const { code, message, field, value, step, stepName, errno, syscall, path, hint } = error
  return { code, message, field, value, step, stepName, errno, syscall, path, hint }
}

/** Whole lines by one write(2) each. A reader that is gone, or was never there, must not change how the run ends. */
function writeLine(line: string): void {
  const bytes = Buffer.from(`${line}\n`)
  for (let done = 0, tries = 0; done < bytes.length && tries < 200; ) {
    try {
      done += writeSync(2, bytes, done)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return
      tries++
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10) // somebody made our stderr non-blocking
    }
  }
}
