import { parseArguments, rephrase } from './options.js'
import { createReporter, statusOf } from './report.js'

/** The command line tool. Ends the process with the status it is to have. */
export async function main(args: string[]): Promise<void> {
  const { options, command, answer, fault } = parseArguments(args)
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
