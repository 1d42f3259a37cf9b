import { QiError } from '../errors.js'
import { nearest } from '../policy/issues.js'
import { parseArguments, type RunOptions, rephrase } from './options.js'
import { createReporter, statusOf } from './report.js'
import { VERBS } from './verbs.js'

/** The command line tool. Ends the process with the status it is to have. */
export async function main(args: string[]): Promise<void> {
  const [name = '', ...rest] = args
  if (Object.hasOwn(VERBS, name)) {
    process.exitCode = await runVerb(name, rest)
    return
  }
  if (name === 'help') {
    await help(rest)
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
    reporter.error(guessVerb(rephrase(error, options), name, command))
    process.exit(statusOf(error))
  }
}

const runVerb = async (name: string, args: string[]): Promise<number | undefined> =>
  (await VERBS[name]?.load())?.run(args)

/** `qi-jail help`, `qi-jail help VERB` */
async function help([name = 'run', ...more]: string[]): Promise<void> {
  if (name === 'run') say(parseArguments(['--help']).answer ?? '', parseArguments([]).options)
  else if (Object.hasOwn(VERBS, name)) process.exitCode = await runVerb(name, ['--help'])
  else {
    const guess = nearVerb(name)
    createReporter({ json: more.includes('--json') }).error(
      new QiError('QI_USAGE', `there is no verb ${JSON.stringify(name)}`, {
        field: 'verb',
        value: name,
        hint: guess ? `did you mean qi-jail help ${guess}?` : 'qi-jail help lists them'
      })
    )
    process.exitCode = statusOf(undefined)
  }
}

/** Of a word long enough to be a slip and not another word. */
const nearVerb = (name: string): string | undefined => (name.length < 4 ? undefined : nearest(name, Object.keys(VERBS)))

/** What is no verb is a command; one that is not there, and almost a verb, was meant to be one. */
function guessVerb(error: unknown, name: string, command: string[]): unknown {
  const guess = nearVerb(name)
  if (!(error instanceof QiError) || error.code !== 'QI_COMMAND_NOT_FOUND' || command[0] !== name || !guess)
    return error
  const message = error.message.replace(/\)$/, `; or did you mean the verb ${guess}?)`)
  const hint = `${error.hint ?? ''}; or did you mean the verb ${guess}?`.replace(/^; /, '')
  return Object.create(error, { message: { value: message }, hint: { value: hint } })
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
