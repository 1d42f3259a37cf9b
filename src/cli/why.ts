import { Command } from 'commander'
import { QiError } from '../errors.js'
import { withMore } from '../explain/merge-config.js'
import { type Refused, readRefusals } from '../explain/recorded.js'
import { type Answer, type Asked, why as ask, readQuestion, recordedQuestion } from '../explain/why.js'
import { probeHost } from '../host/probe.js'
import { loadAddon } from '../launch/locate.js'
import { JailDisabled } from '../profile/disabled.js'
import { nodeFs } from '../profile/fs.js'
import { noJail } from './bare.js'
import { colored, type Paint, painter } from './color.js'
import { withExamples } from './examples.js'
import { inFlags, type RunOptions, rephrase, toConfig, withRunOptions } from './options.js'
import { printable, printableLines } from './printable.js'
import { LAUNCHER, place, resolveRun } from './run.js'
import { usage, verb } from './subcommand.js'
import { columns } from './table.js'

type Options = RunOptions & { write?: boolean; execute?: boolean; from?: string }

const program = (): Command =>
  withExamples(definition(), [
    ['qi-jail why ~/.ssh/id_ed25519', 'may a jail of the default profile read it?'],
    ['qi-jail why --write ./out -- node s.js', 'of the jail that this command would get'],
    ['qi-jail why api.example.com:443 --net "*.example.com"', 'a host'],
    ['qi-jail why ntp.example.com:123/udp', 'a host, for datagrams'],
    ['qi-jail why ptrace', 'a system call'],
    ['qi-jail why --from audit.jsonl', 'all that a session was refused, and what would allow each']
  ])

const definition = (): Command =>
  withRunOptions(new Command('qi-jail why'))
    .usage('[options] <path|host[:port]|syscall> [-- command args...]')
    .description(
      'Tells whether a jail allows it, by which rule, and the smallest change that flips a refusal. Status 0: allowed, or ' +
        'it depends; 1: refused.'
    )
    .argument('[what]', 'a path (with a slash, or that exists), a system call by name, or a host')
    .argument('[command...]', 'whose needs are granted, too; after --')
    .optionsGroup('Options:')
    .option('--write', 'may the path be written')
    .option('--execute', 'may it be executed')
    .option('--from <file>', 'every refusal that an audit file holds, in place of <what>')
    .option('--json', 'as one JSON object (docs/explain.md)')
    .helpOption('-h, --help', 'print this help')

export const why = verb(program, async (command, json) => {
  const options = command.opts<Options>()
  try {
    if (options.from !== undefined) return fromFile(options, options.from, command.args, json)
    const [what, ...argv] = command.args
    if (what === undefined) throw usage(command, 'why what? a path, a host or a system call')
    if (options.write && options.execute) throw usage(command, '--write and --execute are two questions')
    const access = options.write ? 'write' : options.execute ? 'execute' : undefined
    const asked = askedOf(options, argv)
    const answer = ask(readQuestion(what, access, asked), asked)
    const told = inWords(answer, (origin) => inFlags(origin, options))
    const text = json ? printableLines(`${JSON.stringify(told, null, 2)}\n`) : answerText(told, painter())
    return { text, status: answer.state === 'refused' ? 1 : 0 }
  } catch (error) {
    if (error instanceof JailDisabled) return noJail(error, json)
    throw rephrase(error, options)
  }
})

/** Origins in flags where flags were typed, wherever one is told. */
function inWords(answer: Answer, tell: (origin: string) => string): Answer {
  const { origin, change } = answer
  return { ...answer, origin: tell(origin), change: change && { ...change, yaml: tell(change.yaml) } }
}

type Explained = Refused & Answer

/** Of a recorded session: each thing that was refused, what this configuration says of it now, and what would allow it. */
function fromFile(options: Options, file: string, argv: string[], json: boolean): { text: string; status: number } {
  const asked = askedOf(options, argv)
  const found = readRefusals(file).map((refused): Explained => {
    return { ...refused, ...inWords(askAgain(refused, asked), (origin) => inFlags(origin, options)) }
  })
  const status = found.some(({ state }) => state === 'refused') ? 1 : 0
  if (json) return { text: printableLines(`${JSON.stringify({ refusals: found }, null, 2)}\n`), status }
  if (found.length === 0) return { text: `${printable(file)} holds no refusal\n`, status }
  return {
    text: columns([['NOW', 'TIMES', 'WHAT', 'RECORDED RULE', 'TO ALLOW IT'], ...found.map(refusalRow)], painter()),
    status
  }
}

function askAgain(refused: Refused, asked: Asked): Answer {
  try {
    return ask(recordedQuestion(refused), asked)
  } catch (error) {
    if (!(error instanceof QiError) || error instanceof JailDisabled) throw error
    const question = { kind: refused.kind, of: refused.what }
    return {
      question,
      state: 'refused',
      reason: error.message,
      origin: refused.rule,
      change: null,
      fixed: error.message
    }
  }
}

function refusalRow({ state, count, what, access, rule, change, fixed }: Explained): string[] {
  const remedy = change?.flag ?? change?.yaml ?? (fixed ? `cannot be: ${fixed}` : '-')
  return [state, String(count), access ? `${access} ${what}` : what, rule, remedy]
}

function askedOf(options: Options, argv: string[]): Asked {
  const { cwd, home } = place()
  const config = toConfig(options)
  return {
    resolve: (more) => resolveRun(options, argv, { config: withMore(config, more), explaining: true }),
    facts: probeHost(LAUNCHER),
    fs: nodeFs,
    cwd,
    home,
    judge: loadAddon().judgeHost
  }
}

const PERMISSIVE = {
  'let through': 'recorded, let through',
  refused: 'recorded, refused all the same',
  depends: 'recorded; some of it is let through'
}

export function answerText(answer: Answer, paint: Paint): string {
  const { state, reason, origin, errno, question, change, fixed, permissive } = answer
  const of = question.access ? `${question.access} ${question.of}` : question.of
  const lines = [
    `${colored(paint, state)}  ${printable(of)}${errno && state === 'refused' ? ` (${errno})` : ''}`,
    `  because  ${printable(reason)}`,
    `  rule     ${printable(origin)}`,
    ...(permissive === undefined ? [] : [`  mode     permissive: ${PERMISSIVE[permissive]}`]),
    ...(change?.flag ? [`  flag     ${printable(change.flag)}`] : []),
    ...(change ? [`  policy   ${printable(change.yaml)}`] : []),
    ...(fixed === undefined ? [] : [`  fixed    ${printable(fixed)}`])
  ]
  return `${lines.join('\n')}\n`
}
