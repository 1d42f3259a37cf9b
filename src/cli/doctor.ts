import { Command } from 'commander'
import type { Restrictions } from '../host/restrictions.js'
import { VERSION } from '../version.js'
import { type Diagnosis, diagnose } from './diagnose.js'
import { withExamples } from './examples.js'
import { printable } from './printable.js'
import { verb } from './subcommand.js'
import { section } from './table.js'
import type { Trial } from './trial.js'

const program = (): Command =>
  withExamples(definition(), [
    ['qi-jail doctor', 'a report for people'],
    ['qi-jail doctor --profile dev --json', 'one profile, for a script: status 0 when it can launch']
  ])

const definition = (): Command =>
  new Command('qi-jail doctor')
    .description(
      'Tells what this host lets a jail have, and what would give it more. Launches jails to know. Status 0: the profile ' +
        '(strict, or --profile) launches here; 1: it does not, or the policy files that are read here leave no jail; ' +
        '125: nothing could be judged.'
    )
    .option('--profile <name|file>', 'judge this one only: strict, standard, dev, or a profile file')
    .option('--json', 'as one JSON object')
    .helpOption('-h, --help', 'print this help')

export const doctor = verb(program, async (command, json) => {
  const found = await diagnose(command.opts<{ profile?: string }>().profile)
  const text = json ? `${printable(JSON.stringify({ version: VERSION, ...found }))}\n` : report(found)
  return { text, status: found.ok ? 0 : 1 }
})

export function report(found: Diagnosis): string {
  const { host, cgroup, profile, protections, limits, launch, limited, policy, remedies } = found
  const { kernel, arch, uid, privileged } = host
  const rows = (all: Diagnosis['limits']) => all.map((each) => [stateOf(each), each.name, each.reason])
  const who = privileged ? 'with its capabilities' : uid === 0 ? 'without its capabilities' : 'a plain user'
  return [
    printable(`qi-jail ${VERSION}, Linux ${kernel} ${arch}, uid ${uid} (${who})`),
    '\n',
    section('host', hostRows(host, cgroup.version)),
    section('around this process', surroundings(found.restrictions)),
    section('id-mapped mounts of the file system at', folderRows(found)),
    section('cgroup', [
      ['from', source(cgroup)],
      ...(cgroup.controllers.length > 0 ? [['limits there', cgroup.controllers.join(' ')]] : []),
      ...(cgroup.reason ? [['why not better', cgroup.reason]] : [])
    ]),
    section(`protections of ${profile}`, rows(protections)),
    section('profiles', found.profiles.length > 1 ? profileRows(found) : []),
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

const yes = (has: boolean): string => (has ? 'yes' : 'no')
const stateOf = ({ refused, state }: Diagnosis['limits'][number]): string => (refused ? 'REFUSED' : state)

function hostRows(
  { userNamespaces, landlockAbi, mountSetattr, netnsCookie, seccomp }: Diagnosis['host'],
  cgroup: unknown
) {
  return [
    ['user namespaces', userNamespaces?.usable === false ? `no: ${userNamespaces.reason}` : 'yes'],
    ['Landlock', landlockAbi === 0 ? 'none' : `ABI ${landlockAbi}`],
    ['id-mapped mounts', yes(mountSetattr)],
    ['hosts can be allowed', yes(netnsCookie)],
    ['refused calls reported', yes(seccomp.userNotif)],
    ['their wait kept from signals', yes(seccomp.waitKillableRecv)],
    ['cgroup version', String(cgroup)]
  ]
}

/** Only what there is; a host that restricts nothing has no such rows. */
function surroundings(found: Restrictions): string[][] {
  const rows: [string, string | false | undefined][] = [
    ['container', found.container],
    ['user namespace', found.nestedUserNamespace && 'not the host’s own'],
    ['user namespace', !found.mapped && 'without an id map'],
    ['root folder', found.chrooted && 'a chroot'],
    ['AppArmor profile', found.apparmorProfile],
    ['kernel.apparmor_restrict_unprivileged_userns', found.apparmorRestricts && '1'],
    ['kernel.unprivileged_userns_clone', found.usernsCloneOff && '0'],
    ['seccomp filter', found.filtered && 'yes'],
    ['0 here', found.exhausted.join(', ')]
  ]
  return rows.flatMap(([what, told]) => (told ? [[what, told]] : []))
}

const folderRows = ({ folders }: Diagnosis): string[][] =>
  folders.map(({ path, type, idMapped, reason }) => [path, type, reason ? `${idMapped}: ${reason}` : idMapped])

/** A column for each profile, a row for each protection. */
function profileRows({ profiles, protections }: Diagnosis): string[][] {
  const cell = (all: Diagnosis['limits'], wanted: string) => {
    const found = all.find(({ name }) => name === wanted)
    return found ? stateOf(found) : '?'
  }
  return [
    ['', ...profiles.map(({ profile }) => profile)],
    ['launches here', ...profiles.map(({ launch }) => yes(launch.ok))],
    ...protections.map(({ name }) => [name, ...profiles.map((each) => cell(each.protections, name))])
  ]
}

function source({ source: kind, path, busSocket }: Diagnosis['cgroup']): string {
  if (kind === 'none') return 'nowhere: the watchdog in qi-monitor limits memory'
  if (kind === 'scope') return `a scope of systemd, asked for at ${busSocket}`
  return kind === 'root' ? `the hierarchy's root, ${path}` : `the delegated group ${path}`
}

const outcome = ({ ok, ms, cgroup, error }: Trial): string =>
  ok ? `works (${ms} ms${cgroup === undefined ? '' : `, in the cgroup ${cgroup}`})` : `fails: ${error}`
