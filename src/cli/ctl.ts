import { Command } from 'commander'
import { list, request } from '../launch/ctl-client.js'
import type { CtlRule } from '../launch/ctl-network.js'
import type { CtlStatus } from '../launch/ctl-server.js'
import { withExamples } from './examples.js'
import { verb as asVerb, lines, usage } from './subcommand.js'
import { columns } from './table.js'

const program = (): Command =>
  withExamples(definition(), [
    ['qi-jail ctl', 'the jails that run'],
    ['qi-jail ctl 1a2b3c4d', 'the network rules of one'],
    ['qi-jail ctl 1a2b3c4d allow api.example.com:443', 'one host more, from now on'],
    ['qi-jail ctl 1a2b3c4d kill', 'ends it']
  ])

const definition = (): Command =>
  new Command('qi-jail ctl')
    .usage('[options] [id] [allow|deny <host[:port]> | rules | pause | resume | kill]')
    .description(
      'Lists the jails of this user that run, shows the network rules of one or adds one to them, stops one for a while, lets ' +
        'it go on, or ends it.'
    )
    .argument('[id]', 'of the jail')
    .argument('[verb]', 'allow, deny, rules, pause, resume or kill')
    .argument('[host]', 'as --net takes it')
    .option('--json', 'answers and errors as JSON')
    .helpOption('-h, --help', 'print this help')

export const ctl = asVerb(program, answer)

async function answer(command: Command, json: boolean): Promise<string> {
  const [id, verb = 'rules', host] = command.args
  if (id === undefined) return json ? lines(await list()) : jails(await list())
  if (verb === 'rules' && host === undefined) {
    const { rules = null } = await request(id, { verb })
    return json ? lines(rules ?? []) : rulesTable(rules)
  }
  if ((verb === 'pause' || verb === 'resume' || verb === 'kill') && host === undefined) {
    await request(id, { verb })
    return json ? lines([{ id, done: verb }]) : ''
  }
  if (verb !== 'allow' && verb !== 'deny') throw usage(command, `unknown verb ${JSON.stringify(verb)}`)
  if (host === undefined) throw usage(command, `${verb} which host?`)
  await request(id, { verb, host })
  return json ? lines([{ id, [verb]: host }]) : ''
}

const jails = (found: CtlStatus[]): string =>
  found.length === 0
    ? 'no jail runs\n'
    : columns(found.map(({ id, pid, profile, since, command }) => [id, String(pid), profile, since, command]))

function rulesTable(rules: CtlRule[] | null): string {
  if (rules === null) return 'no rules: this jail has no network, or the host’s\n'
  return rules.length === 0 ? 'nothing is allowed\n' : columns(rules.map(({ rule, origin }) => [rule, origin]))
}
