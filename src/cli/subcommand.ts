import { type Command, CommanderError } from 'commander'
import { QiError } from '../errors.js'
import { printable } from './printable.js'
import { createReporter, statusOf } from './report.js'
import type { Verb } from './verbs.js'

type Act = (command: Command, json: boolean) => Promise<string | { text: string; status: number }>

export const verb = (program: () => Command, act: Act): Verb => ({
  program,
  run: (args) => runVerb(program(), args, act)
})

/** Runs one of our own verbs: prints its answer, or the error. The status to exit with. */
export async function runVerb(command: Command, args: string[], act: Act): Promise<number> {
  let shown = ''
  command.exitOverride().configureOutput({ writeOut: (text) => (shown += text), writeErr: () => {} })
  const json = args.includes('--json')
  try {
    command.parse(args, { from: 'user' })
    const answer = await act(command, json)
    const { text, status } = typeof answer === 'string' ? { text: answer, status: 0 } : answer
    process.stdout.write(text)
    return status
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) {
      process.stdout.write(shown)
      return 0
    }
    const told = error instanceof CommanderError ? usage(command, error.message.replace(/^error: /, '')) : error
    createReporter({ json }).error(told)
    return statusOf(told)
  }
}

export const usage = (command: Command, message: string): QiError =>
  new QiError('QI_USAGE', message, { hint: `${command.name()} --help` })

/** One JSON object a line. */
export const lines = (records: object[]): string =>
  records.map((record) => `${printable(JSON.stringify(record))}\n`).join('')
