import { QiError } from '../errors.js'
import { parseArguments, rephrase } from './options.js'
import { createReporter, statusOf } from './report.js'

/** The command line tool. Ends the process with the status it is to have. */
export async function main(args: string[]): Promise<void> {
  const { options, command, answer, fault } = parseArguments(args)
  // Only our own answers go there: a reader that had enough ends us quietly, a full disk does not.
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
  if (answer !== undefined) {
    process.stdout.write(answer)
    return
  }
  const reporter = createReporter(options)
  try {
    if (fault) throw fault
    if (options.dryRun) {
      const { dryRun } = await import('./dry-run.js')
      process.stdout.write(dryRun(options, command))
    } else {
      const { run } = await import('./run.js')
      process.exit(await run(options, command, reporter))
    }
  } catch (error) {
    reporter.error(rephrase(error, options))
    process.exit(statusOf(error))
  }
}
