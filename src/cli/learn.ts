import { readFileSync } from 'node:fs'
import { constants, homedir } from 'node:os'
import { resolve as absolute } from 'node:path'
import { Command } from 'commander'
import { QiError } from '../errors.js'
import { ownDirectory } from '../host/cwd.js'
import { type Learned, type LearnRequest, learn, learnFrom } from '../learn/learn.js'
import type { Proposal } from '../learn/propose.js'
import { parseDuration } from '../policy/units.js'
import { withExamples } from './examples.js'
import { type RunOptions, rephrase, toConfig, withRunOptions } from './options.js'
import { printable, printableLines } from './printable.js'
import { createReporter } from './report.js'
import { usage, verb } from './subcommand.js'

interface LearnOptions extends RunOptions {
  output: string
  merge?: boolean
  for?: string
  name: string
  /** false with --no-replay */
  replay: boolean
  from?: string
}

const DEFAULT_OUTPUT = 'qi-jail-policy.yaml'

const program = (): Command =>
  withExamples(
    withRunOptions(
      new Command('qi-jail learn')
        .usage('[options] [--] <command> [args...]\n       qi-jail learn --from <audit.jsonl> [options]')
        .description(
          'Runs a command once with everything let through that is safe to be, writes the policy that it needs, and runs it ' +
            'again under that policy (docs/learn.md).'
        )
        .argument('[command...]', 'what to run; options end here')
    )
      .optionsGroup('Options:')
      .option('-o, --output <file>', 'the policy file', DEFAULT_OUTPUT)
      .option('--name <name>', 'of the profile in it', 'learned')
      .option('--merge', 'add to the file that is there')
      .option('--for <duration>', 'end the command after that long: for servers that do not end by themselves')
      .option('--no-replay', 'do not run it again')
      .option('--from <audit.jsonl>', 'run nothing: show what recorded refusals ask for; with --merge write it')
      .option('--json', 'the result as one JSON object on standard error')
      .option('-q, --quiet', 'no report')
      .helpOption('-h, --help', 'print this help')
      .passThroughOptions(),
    [
      ['qi-jail learn -- node server.js < session.jsonl', 'a session that was recorded, or typed by a client'],
      ['qi-jail learn --for 30s --env API_KEY -- npx -y some-mcp', 'half a minute of it'],
      ['qi-jail learn --from audit.jsonl', 'from what earlier runs were refused']
    ]
  )

export const learnVerb = verb(program, async (command, json) => {
  const options = command.opts<LearnOptions>()
  const request = toRequest(command, options)
  if (options.from !== undefined) {
    return printableLines(learnFrom(request, auditText(options.from), options.merge === true))
  }
  if (command.args.length === 0) throw usage(command, 'no command given')
  let learned: Learned
  try {
    learned = await learn(request)
  } catch (error) {
    throw rephrase(error, options)
  }
  createReporter({ json, ...(options.quiet ? { quiet: true } : {}) }).notices(report(learned, request), { learned })
  const { exit } = learned
  return { text: '', status: exit.code ?? 128 + (constants.signals[exit.signal as NodeJS.Signals] ?? 0) }
})

function toRequest({ args }: Command, options: LearnOptions): LearnRequest {
  const { for: written, output, name, merge = false, replay } = options
  const home = process.env.HOME || homedir()
  const forMs = written === undefined ? undefined : duration(written)
  return {
    argv: args,
    config: toConfig(options),
    env: process.env,
    cwd: ownDirectory(),
    home,
    output: absolute(output),
    name,
    merge,
    replay,
    ...(forMs === undefined ? {} : { forMs })
  }
}

function duration(written: string): number {
  const { value, reason } = parseDuration(written)
  if (value !== undefined) return value
  const message = `--for = ${JSON.stringify(written)}: ${reason}`
  throw new QiError('QI_LIMIT', message, { field: '--for', value: written, hint: 'write 30s, or 5m' })
}

function auditText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code ?? 'EIO'
    const details = { field: '--from', value: file, path: file, errno, hint: 'name a file that --audit wrote', cause }
    throw new QiError('QI_AUDIT_FILE', `--from = ${JSON.stringify(file)}: cannot be read: ${errno}`, details)
  }
}

function report({ proposal, notes, remaining, replays }: Learned, { output, name, argv }: LearnRequest): string[] {
  const drafts = proposal.drafts.length
  return [
    ...notes,
    `wrote ${output}: ${counted(proposal)}`,
    ...(drafts > 0
      ? [`${drafts === 1 ? '1 thing is' : `${drafts} things are`} left to you, as comments at its end`]
      : []),
    ...(remaining ? [replayed(remaining, replays)] : []),
    `use it: qi-jail --policy ${output}${name === 'learned' ? '' : ` --profile ${name}`} -- ${argv.join(' ')}`
  ].map((sentence) => printable(sentence))
}

function counted({ readOnlyPaths, allowedPaths, allowedHosts, udp, syscalls }: Proposal): string {
  const counts = [
    [readOnlyPaths.length, 'to read'],
    [allowedPaths.length, 'to write'],
    [allowedHosts.length + udp.length, 'hosts'],
    [syscalls.length, 'calls']
  ] as const
  const some = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
  return some.length ? some.join(', ') : 'it needs nothing that its base does not give'
}

function replayed({ drafts, ...given }: Proposal, replays: number): string {
  const { readOnlyPaths, allowedPaths, allowedHosts, udp, syscalls } = given
  const times = replays === 1 ? 'replayed' : `replayed ${replays} times`
  const values = (entries: { value: string }[]) => printableLines(entries.map(({ value }) => value).join(', '))
  const all = [...readOnlyPaths, ...allowedPaths, ...allowedHosts, ...udp, ...syscalls]
  if (all.length > 0) return `${times}: still refused: ${values(all)}`
  return drafts.length === 0
    ? `${times}: 0 refusals`
    : `${times}: refused nothing but what is left to you: ${values(drafts)}`
}
