import { Command } from 'commander'
import { VERSION } from '../version.js'
import { type Diagnosis, diagnose, type Trial } from './diagnose.js'
import { withExamples } from './examples.js'
import { printable } from './printable.js'
import { verb } from './subcommand.js'
import { columns } from './table.js'

const program = (): Command =>
  withExamples(definition(), [
    ['qi-jail doctor', 'a report for people'],
    ['qi-jail doctor --profile dev --json', 'one profile, for a script: status 0 when it can launch']
  ])

const definition = (): Command =>
  new Command('qi-jail doctor')
    .description(
      'Tells what this host lets a jail have, and what would give it more. Status 1: the profile cannot launch, or the ' +
        'policy files that are read here leave no jail.'
    )
    .option('--profile <name|file>', 'strict (default), standard, dev, or a profile file')
    .option('--json', 'as one JSON object')
    .helpOption('-h, --help', 'print this help')

export const doctor = verb(program, async (command, json) => {
  const found = await diagnose(command.opts<{ profile?: string }>().profile)
  const text = json ? `${printable(JSON.stringify({ version: VERSION, ...found }))}\n` : report(found)
  return { text, status: found.ok ? 0 : 1 }
})

export function report(found: Diagnosis): string {
  const { host, cgroup, profile, protections, limits, launch, limited, policy, remedies } = found
  const { kernel, arch, uid, privileged, landlockAbi, mountSetattr, seccomp, userNamespaces } = host
  const yes = (has: boolean) => (has ? 'yes' : 'no')
  const rows = (all: Diagnosis['limits']) =>
    all.map(({ name, state, reason, refused }) => [refused ? 'REFUSED' : state, name, reason])
  const section = (title: string, table: string[][]) => (table.length ? `\n${title}\n${columns(table)}` : '')
  const who = privileged ? 'with its capabilities' : uid === 0 ? 'without its capabilities' : 'a plain user'
  return [
    printable(`qi-jail ${VERSION}, Linux ${kernel} ${arch}, uid ${uid} (${who})`),
    '\n',
    section('host', [
      ['user namespaces', userNamespaces?.usable === false ? `no: ${userNamespaces.reason}` : 'yes'],
      ['Landlock', landlockAbi === 0 ? 'none' : `ABI ${landlockAbi}`],
      ['id-mapped mounts', yes(mountSetattr)],
      ['refused calls reported', yes(seccomp.userNotif)],
      ['cgroup version', String(cgroup.version)]
    ]),
    section('cgroup', [
      ['from', source(cgroup)],
      ...(cgroup.controllers.length > 0 ? [['limits there', cgroup.controllers.join(' ')]] : []),
      ...(cgroup.reason ? [['why not better', cgroup.reason]] : [])
    ]),
    section(`protections of ${profile}`, rows(protections)),
    section('limits, where they are asked for', rows(limits)),
    section('launch', [
      ['as the profile says', outcome(launch)],
      ...(limited ? [['with every limit', outcome(limited)]] : []),
      ...(policy ? [['with the policy files of here', `no: ${policy}`]] : [])
    ]),
    section(
      'what would help',
      remedies.map((remedy) => [remedy])
    )
  ].join('')
}

function source({ source: kind, path, busSocket }: Diagnosis['cgroup']): string {
  if (kind === 'none') return 'nowhere: the watchdog in qi-monitor limits memory'
  if (kind === 'scope') return `a scope of systemd, asked for at ${busSocket}`
  return kind === 'root' ? `the hierarchy's root, ${path}` : `the delegated group ${path}`
}

const outcome = ({ ok, ms, cgroup, error }: Trial): string =>
  ok ? `works (${ms} ms${cgroup === undefined ? '' : `, in the cgroup ${cgroup}`})` : `fails: ${error}`
