import { QiError } from '../errors.js'
import { parseArguments, type RunOptions, rephrase } from './options.js'
import { createReporter, statusOf } from './report.js'

/** What is no run; a command of such a name is written after `--`. */
const VERBS: Record<string, () => Promise<(args: string[]) => Promise<number>>> = {
  ctl: async () => (await import('./ctl.js')).ctl,
  ps: async () => (await import('./jails.js')).ps,
  stats: async () => (await import('./jails.js')).stats,
  top: async () => (await import('./top.js')).top,
  doctor: async () => (await import('./doctor.js')).doctor
}

/** The command line tool. Ends the process with the status it is to have. */
export async function main(args: string[]): Promise<void> {
  const [name = '', ...rest] = args
  if (Object.hasOwn(VERBS, name)) {
    const verb = await VERBS[name]?.()
    process.exitCode = await verb?.(rest)
    return
  }
  const { options, command, answer, fault } = parseArguments(args)
  if (answer !== undefined) {
    say(answer, options)
    return
  }
  const reporter = createReporter(options)
  try {
    if (fault) throw fault
    if (options.dryRun) {
      const { dryRun } = await import('./dry-run.js')
      say(dryRun(options, command), options)
    } else {
      const { run } = await import('./run.js')
      process.exit(await run(options, command, reporter))
    }
  } catch (error) {
    reporter.error(rephrase(error, options))
    process.exit(statusOf(error))
  }
}

/**
 * Our own answer. Only then is process.stdout touched: Node makes a pipe behind it non-blocking, and in a run that pipe is
 * the payload's, which would lose what it writes (EAGAIN).
 */
function say(text: string, options: RunOptions): void {
  // A reader that had enough ends us quietly, a full disk does not.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return
    createReporter(options).error(
      new QiError('QI_OUTPUT', `cannot write to standard output: ${error.code}`, {
        cause: error,
        errno: error.code,
        hint: 'make room, or redirect it elsewhere'
      })
    )
    process.exit(statusOf(error))
  })
  process.stdout.write(text)
}
