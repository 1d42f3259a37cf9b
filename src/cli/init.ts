import { linkSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Command } from 'commander'
import { QiError } from '../errors.js'
import { replaceFile } from '../learn/policy-file.js'
import * as schemas from '../policy/config.js'
import { PROJECT_POLICY, projectPlaces } from '../policy/document/find.js'
import { DEFAULT_PROFILE, isShipped, listProfiles, loadProfile } from '../policy/profiles.js'
import { schemaLine } from '../policy/schema-line.js'
import { join, walk } from '../profile/fs.js'
import { withExamples } from './examples.js'
import { caller } from './policy.js'
import { printable } from './printable.js'
import { lines, usage, verb } from './subcommand.js'

/** What the file is to say. */
interface Answers {
  profile: string
  rw: string[]
  net: string[]
}

const append = (value: string, all: string[] = []): string[] => [...all, value]

const program = (): Command =>
  withExamples(definition(), [
    ['qi-jail init', 'three questions on the terminal'],
    ['qi-jail init --profile strict --rw ./out --net api.example.com:443', 'none']
  ])

const definition = (): Command =>
  new Command('qi-jail init')
    .description(`Writes a commented ${PROJECT_POLICY} into the working directory (docs/policy.md).`)
    .option('--profile <name>', `what it extends: ${DEFAULT_PROFILE} (default), standard, dev, servers/NAME`)
    .option('--rw <path>', 'may be read and written (repeatable)', append)
    .option('--net <host[:port]>', 'may be connected to (repeatable)', append)
    .option('--force', 'also over the file that is there')
    .option('--json', 'the result as one JSON object')
    .helpOption('-h, --help', 'print this help')

export const init = verb(program, async (command, json) => {
  if (command.args.length > 0) throw usage(command, `init takes no ${JSON.stringify(command.args[0])}`)
  const { force = false, profile, rw, net } = command.opts<Partial<Answers> & { force?: boolean }>()
  const file = placeHere()
  const isTold = [profile, rw, net].some((given) => given !== undefined)
  const asks = !isTold && !json && process.stdin.isTTY && process.stderr.isTTY
  const answers = asks ? await ask() : { profile: profile ?? DEFAULT_PROFILE, rw: rw ?? [], net: net ?? [] }
  check(answers)
  // Not to lose what somebody wrote, even a moment ago: a link is made only where nothing is.
  replaceFile(file, initialPolicy(file, answers), force ? undefined : (draft) => linkNew(draft, file))
  if (json) return lines([{ file, ...answers }])
  return `wrote ${printable(file)}\nRead it, then: qi-jail policy trust ${PROJECT_POLICY} (until then it can only narrow)\n`
})

/** A file that no launch would read helps nobody. */
function placeHere(): string {
  const who = caller()
  const file = join(walk(who.fs, who.cwd).real, PROJECT_POLICY)
  if (projectPlaces(who).includes(file)) return file
  throw new QiError('QI_POLICY_FILE', `${file}: is not read in the home folder and above it`, {
    path: file,
    hint: 'go to the folder of a project, or write ~/.config/qi-jail/policy.yaml'
  })
}

function linkNew(draft: string, file: string): void {
  try {
    linkSync(draft, file)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
    throw new QiError('QI_OUTPUT', `${file}: is there already`, {
      path: file,
      hint: 'qi-jail init --force writes another over it',
      cause
    })
  }
}

/** @throws QiError that names the flag */
function check({ profile, rw, net }: Answers): void {
  if (!isShipped(profile)) {
    const hint = `use one of ${listProfiles().join(', ')}`
    throw new QiError('QI_USAGE', `--profile = ${JSON.stringify(profile)}: is a file, which others do not have`, {
      hint
    })
  }
  loadProfile(profile)
  for (const path of rw) schemas.parseConfig({ filesystem: { allowedPaths: [path] } }, '--rw')
  for (const host of net) schemas.parseConfig({ network: { allowedHosts: [host] } }, '--net')
}

/** Three questions, each again until its answer can be used. */
async function ask(): Promise<Answers> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const typed = terminal[Symbol.asyncIterator]()
  const question = async <T>(text: string, read: (answer: string) => T): Promise<T> => {
    for (;;) {
      process.stderr.write(text)
      const { value, done } = await typed.next()
      if (done) throw new QiError('QI_USAGE', 'no answer: nothing was written', { hint: 'qi-jail init --help' })
      try {
        return read(String(value).trim())
      } catch (error) {
        if (!(error instanceof QiError)) throw error
        process.stderr.write(`${printable(error.message)}\n`)
      }
    }
  }
  const none: Answers = { profile: DEFAULT_PROFILE, rw: [], net: [] }
  const part = <K extends keyof Answers>(key: K, value: Answers[K]): Answers[K] => {
    check({ ...none, [key]: value })
    return value
  }
  try {
    return {
      profile: await question(
        `Which profile: ${listProfiles().join(', ')}, servers/NAME [${DEFAULT_PROFILE}]? `,
        (answer) => part('profile', answer || DEFAULT_PROFILE)
      ),
      rw: await question('Files and folders it may write, with commas between [none]? ', (answer) =>
        part('rw', listOf(answer))
      ),
      net: await question('Hosts it may reach, as api.example.com:443 [none]? ', (answer) =>
        part('net', listOf(answer))
      )
    }
  } finally {
    terminal.close()
  }
}

const listOf = (answer: string): string[] =>
  answer
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean)

/** A list that is empty stays a comment: in a file that only narrows, it would take everything away. */
export function initialPolicy(file: string, { profile, rw, net }: Answers): string {
  const list = (key: string, values: string[], example: string) =>
    values.length === 0 ? [`        # ${key}: [${example}]`] : [`        ${key}:`, ...values.map(entry)]
  const section = (name: string, isEmpty: boolean) => `      ${isEmpty ? '# ' : ''}${name}:`
  return [
    `#${schemaLine(file)}`,
    '# What is started in this project may do this much under qi-jail. `qi-jail policy validate` checks this file,',
    '# `qi-jail explain` shows what it comes to.',
    '# Until `qi-jail policy trust` was told of exactly this content, it can only take away from what holds without it.',
    'sandbox:',
    '  default: project',
    '  profiles:',
    '    project:',
    '      # `qi-jail profiles list` tells what there is, `qi-jail profiles show NAME` what one says.',
    `      extends: ${profile}`,
    section('filesystem', rw.length === 0),
    '        # Paths are relative to this file; a folder stands for all below it; `?` at the end: if it exists.',
    '        # readOnlyPaths: [~/reference]',
    ...list('allowedPaths', rw, './out'),
    '        # Out of reach whatever else is granted:',
    '        # deniedPaths: [./secrets]',
    section('network', net.length === 0),
    ...list('allowedHosts', net, '"api.example.com:443"'),
    '      # resources: { maxMemory: 1GiB, maxExecutionTime: 30m }',
    '      # Variables that are passed on, by name:',
    '      # env: [API_KEY]',
    ''
  ].join('\n')
}

/** JSON is YAML, whatever is in the text. */
const entry = (value: string): string => `          - ${JSON.stringify(value)}`
