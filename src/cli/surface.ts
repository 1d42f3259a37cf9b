import type { Command, Option } from 'commander'
import { type Example, examplesOf } from './examples.js'
import { runProgram } from './options.js'
import { VERBS } from './verbs.js'

/** What can be typed after an option. */
export type Value = 'none' | 'file' | 'profile' | 'text'

export interface Flag {
  long: string
  short?: string
  /** As --help writes it: `<host[:port]>`. */
  placeholder: string
  description: string
  value: Value
}

/** A run or a verb, as commander knows it: what completions and the manual are made from. */
export interface Surface {
  /** `run`, or the verb. */
  name: string
  summary: string
  description: string
  usage: string
  flags: Flag[]
  args: { name: string; description: string }[]
  examples: Example[]
  /** What follows is another program's: complete it as such. */
  takesCommand: boolean
}

export async function surfaces(): Promise<Surface[]> {
  const run = surfaceOf('run', 'runs a command in a jail; may be left out', runProgram())
  const verbs = Object.entries(VERBS).map(async ([name, { summary, load }]) =>
    surfaceOf(name, summary, (await load()).program())
  )
  return [run, ...(await Promise.all(verbs))]
}

function surfaceOf(name: string, summary: string, program: Command): Surface {
  const help = program.createHelp()
  return {
    name,
    summary,
    description: program.description(),
    usage: program.usage(),
    flags: help.visibleOptions(program).map(flagOf),
    args: program.registeredArguments.map((argument) => ({
      name: argument.name(),
      description: help.argumentDescription(argument)
    })),
    examples: examplesOf(program),
    takesCommand: program.registeredArguments.some((argument) => argument.name() === 'command')
  }
}

function flagOf(option: Option): Flag {
  const placeholder = /[<[].*$/.exec(option.flags)?.[0] ?? ''
  const short = option.short ? { short: option.short } : {}
  const long = option.long as string
  return { long, ...short, placeholder, description: option.description, value: valueKind(placeholder) }
}

function valueKind(placeholder: string): Value {
  if (placeholder === '') return 'none'
  if (/profile|^<name\|file>$/.test(placeholder)) return 'profile'
  return /path|file|dir/i.test(placeholder) ? 'file' : 'text'
}
