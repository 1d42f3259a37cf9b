import type { Command } from 'commander'

export type Example = [line: string, meaning: string]

const known = new WeakMap<Command, Example[]>()

/** Shown after the options by --help, and by the manual. */
export function withExamples(command: Command, examples: Example[]): Command {
  known.set(command, examples)
  const width = Math.max(...examples.map(([line]) => (line.length > 48 ? 0 : line.length)))
  const rows = examples.map(([line, meaning]) => `  ${line.padEnd(width)}  ${meaning}`.trimEnd())
  return command.addHelpText('after', `\nExamples:\n${rows.join('\n')}`)
}

export const examplesOf = (command: Command): Example[] => known.get(command) ?? []
