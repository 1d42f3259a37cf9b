import { Command, CommanderError } from 'commander'
import { QiError } from '../errors.js'
import { list, request } from '../launch/ctl-client.js'
import type { CtlRule, CtlStatus } from '../launch/ctl-server.js'
import { printable } from './printable.js'
import { createReporter, statusOf } from './report.js'
import { columns } from './table.js'

const program = (): Command =>
  new Command('qi-jail ctl')
    .usage('[options] [id] [allow|deny <host[:port]> | rules]')
    .description('Lists the jails of this user that run, shows the network rules of one, or adds one to them.')
    .argument('[id]', 'of the jail')
    .argument('[verb]', 'allow, deny or rules')
    .argument('[host]', 'as --net takes it')
    .option('--json', 'answers and errors as JSON')
    .helpOption('-h, --help', 'print this help')
    .exitOverride()

/** The status to exit with. */
export async function ctl(args: string[]): Promise<number> {
  const command = program()
  let shown = ''
  command.configureOutput({ writeOut: (text) => (shown += text), writeErr: () => {} })
  const json = args.includes('--json')
  try {
    process.stdout.write(await answer(command, args, json).catch((error) => helpOr(error, () => shown)))
    return 0
  } catch (error) {
    createReporter({ json }).error(error)
    return statusOf(error)
  }
}

function helpOr(error: unknown, shown: () => string): string {
  if (!(error instanceof CommanderError)) throw error
  if (error.exitCode === 0) return shown()
  throw usage(error.message.replace(/^error: /, ''))
}

const usage = (message: string): QiError => new QiError('QI_USAGE', message, { hint: 'qi-jail ctl --help' })

async function answer(command: Command, args: string[], json: boolean): Promise<string> {
  const [id, verb = 'rules', host] = command.parse(args, { from: 'user' }).args
  if (id === undefined) return json ? lines(await list()) : jails(await list())
  if (verb === 'rules' && host === undefined) {
    const { rules = null } = await request(id, { verb })
    return json ? lines(rules ?? []) : rulesTable(rules)
  }
  if (verb !== 'allow' && verb !== 'deny') throw usage(`unknown verb ${JSON.stringify(verb)}`)
  if (host === undefined) throw usage(`${verb} which host?`)
  await request(id, { verb, host })
  return json ? lines([{ id, [verb]: host }]) : ''
}

const lines = (records: object[]): string => records.map((record) => `${printable(JSON.stringify(record))}\n`).join('')

const jails = (found: CtlStatus[]): string =>
  found.length === 0
    ? 'no jail runs\n'
    : columns(found.map(({ id, pid, profile, since, command }) => [id, String(pid), profile, since, command]))

function rulesTable(rules: CtlRule[] | null): string {
  if (rules === null) return 'no rules: this jail has no network, or the host’s\n'
  return rules.length === 0 ? 'nothing is allowed\n' : columns(rules.map(({ rule, origin }) => [rule, origin]))
}
