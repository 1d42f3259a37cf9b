import { Command } from 'commander'
import { QiError } from '../errors.js'
import { type Difference, difference } from '../explain/diff.js'
import { explain as explanation } from '../explain/explain.js'
import { probeHost } from '../host/probe.js'
import { JailDisabled } from '../profile/disabled.js'
import { VERSION } from '../version.js'
import { noJail } from './bare.js'
import { painter } from './color.js'
import { withExamples } from './examples.js'
import { detailsText, explanationText, figure } from './explain-table.js'
import { inFlags, type RunOptions, rephrase, withRunOptions } from './options.js'
import { printableLines } from './printable.js'
import { LAUNCHER, resolveRun } from './run.js'
import { verb } from './subcommand.js'
import { section } from './table.js'

type Options = RunOptions & { diff?: string[] }

const program = (): Command =>
  withExamples(definition(), [
    ['qi-jail explain', 'the default profile, whatever the command'],
    ['qi-jail explain --profile standard -- npx -y some-mcp', 'what that command would get, and why'],
    ['qi-jail explain --diff strict standard', 'what the second grants more, and what less'],
    ['qi-jail explain --json -- node s.js', 'the same for a program']
  ])

const definition = (): Command =>
  withRunOptions(new Command('qi-jail explain'))
    .usage('[options] [--] [command] [args...]')
    .description(
      'Tells every rule that a jail would have, with its origin and reason, and what this host enforces of it.'
    )
    .argument('[command...]', 'whose needs are granted, too; options end here')
    .optionsGroup('Options:')
    .option('--diff <profiles...>', 'two of them: what the second grants more, and what less')
    .option('--json', 'as one JSON object (docs/explain.md)')
    .helpOption('-h, --help', 'print this help')
    .passThroughOptions()

export const explain = verb(program, async (command, json) => {
  const options = command.opts<Options>()
  try {
    if (options.diff) return diffText(options, command, json)
    const told = explained(options, command.args)
    if (json) return printableLines(`${JSON.stringify({ version: VERSION, ...told }, null, 2)}\n`)
    const paint = painter()
    return explanationText(told, paint) + detailsText(told, paint)
  } catch (error) {
    if (error instanceof JailDisabled) return noJail(error, json)
    throw rephrase(error, options)
  }
})

const explained = (options: Options, command: string[]) =>
  explanation(resolveRun(options, command, { explaining: true }), probeHost(LAUNCHER), (origin) =>
    inFlags(origin, options)
  )

function diffText(options: Options, command: Command, json: boolean): string {
  const [a, b, ...more] = options.diff ?? []
  if (a === undefined || b === undefined || more.length > 0) {
    throw new QiError('QI_USAGE', '--diff takes two profiles', {
      field: '--diff',
      value: options.diff,
      hint: 'qi-jail explain --diff strict standard [-- command]'
    })
  }
  const of = (profile: string) => explained({ ...options, profile }, command.args)
  const found = difference(of(a), of(b))
  if (json) return printableLines(`${JSON.stringify({ version: VERSION, a, b, differences: found }, null, 2)}\n`)
  return found.length === 0 ? `${a} and ${b} come to the same\n` : differences(found, a, b)
}

const shown = ({ section, name }: Difference, text: string | null): string =>
  text === null ? 'nothing' : section === 'limits' && text !== 'no limit' ? figure(name, JSON.parse(text)) : text

const EFFECTS = { more: 'grants more', less: 'grants less', other: 'says otherwise' }

function differences(found: Difference[], a: string, b: string): string {
  const rows = (effect: Difference['effect']) =>
    found
      .filter((each) => each.effect === effect)
      .map((each) => [each.section, each.name, `${shown(each, each.a)} -> ${shown(each, each.b)}`])
  const of = (effect: Difference['effect']) => section(`${b} ${EFFECTS[effect]} than ${a}`, rows(effect), painter())
  return (of('more') + of('less') + of('other')).replace(/^\n/, '')
}
