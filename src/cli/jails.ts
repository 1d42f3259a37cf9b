import { Command } from 'commander'
import { QiError } from '../errors.js'
import { listStats, request } from '../launch/ctl-client.js'
import type { CtlStatus } from '../launch/ctl-server.js'
import { type JailStats, readStats } from '../launch/stats.js'
import { withExamples } from './examples.js'
import { bytes, ofLimit, span } from './human.js'
import { lines, verb } from './subcommand.js'
import { columns } from './table.js'

export type Listed = CtlStatus & { stats?: JailStats }

const definition = (name: string, description: string): Command =>
  new Command(`qi-jail ${name}`)
    .description(description)
    .option('--json', 'as JSON')
    .helpOption('-h, --help', 'print this help')

/** `qi-jail ps`: the jails of this user, a line each. */
export const ps = verb(
  () =>
    withExamples(definition('ps', 'Lists the jails of this user that run, with what they use.'), [
      ['qi-jail ps', 'a line each'],
      ['qi-jail ps --json', 'an object a line']
    ]),
  async (_, json) => {
    const found = await listStats()
    if (json) return lines(found)
    return found.length === 0 ? 'no jail runs\n' : columns([HEAD, ...found.map((jail) => row(jail))])
  }
)

const HEAD = ['ID', 'PID', 'PROFILE', 'UP', 'MEMORY', 'CPU', 'PROCESSES', 'REFUSED', 'COMMAND']

/** `cpu`: what stands in its column; the time used so far when left out. */
export function row({ id, pid, profile, command, since, stats }: Listed, cpu?: string): string[] {
  const { memory = {}, processes = {}, cpu: time, paused } = stats ?? {}
  const used = time?.usageUs
  return [
    id,
    String(pid),
    profile,
    `${span(stats?.uptimeMs ?? Date.now() - Date.parse(since))}${paused ? ' paused' : ''}`,
    ofLimit(bytes, memory.current, memory.limit),
    cpu ?? (used === undefined ? '-' : span(used / 1000)),
    ofLimit(String, processes.current, processes.limit),
    stats ? String(stats.refusals) : '-',
    command
  ]
}

export const tableHead = HEAD

/** `qi-jail stats ID`: everything that is known of one. */
export const stats = verb(
  () =>
    withExamples(
      definition('stats', 'Shows what a running jail uses.').argument('<id>', 'of the jail; qi-jail ps lists them'),
      [['qi-jail stats 1a2b3c4d', 'memory, processes, processor time, input and output']]
    ),
  async (command, json) => {
    const [id = ''] = command.args
    const found = readStats((await request(id, { verb: 'stats' })).stats)
    if (!found) throw new QiError('QI_CONTROL', 'the jail answered with something else than statistics')
    return json ? lines([{ id, ...found }]) : columns(describe(found))
  }
)

/** Rows of name and value; what the host cannot tell has none. */
export function describe(of: JailStats): string[][] {
  const { memory, cpu, processes, io = {}, pressure = {} } = of
  const rows: [string, string | undefined][] = [
    ['counted by', of.backend === 'cgroup' ? `cgroup ${of.cgroup ?? ''}`.trim() : 'the watchdog'],
    ['up', `${span(of.uptimeMs)}${of.paused ? ', paused' : ''}`],
    ['memory', figure(ofLimit(bytes, memory.current, memory.limit), memory.peak, bytes)],
    ['processes', figure(ofLimit(String, processes.current, processes.limit), processes.peak, String)],
    ['cpu time', time(cpu)],
    ['throttled', throttled(cpu)],
    ['read', io.readBytes === undefined ? undefined : bytes(io.readBytes)],
    ['written', io.writeBytes === undefined ? undefined : bytes(io.writeBytes)],
    ['connections', of.connections === undefined ? undefined : String(of.connections)],
    ...Object.entries(pressure).map(([name, { some10, full10 }]): [string, string | undefined] => [
      `${name} pressure`,
      [some10 === undefined ? [] : `some ${some10}%`, full10 === undefined ? [] : `full ${full10}%`].flat().join(', ')
    ]),
    ['refused calls', String(of.refusals)]
  ]
  return rows.flatMap(([name, value]) => (value ? [[name, value]] : []))
}

const figure = (now: string, peak: number | undefined, show: (value: number) => string): string | undefined =>
  now === '-' ? undefined : peak === undefined ? now : `${now}, at most ${show(peak)}`

function time({ usageUs, userUs, systemUs }: JailStats['cpu']): string | undefined {
  if (usageUs === undefined) return undefined
  const parts = userUs === undefined || systemUs === undefined ? [] : [userUs, systemUs].map((us) => span(us / 1000))
  return `${span(usageUs / 1000)}${parts.length ? ` (${parts[0]} user, ${parts[1]} system)` : ''}`
}

const throttled = ({ throttledUs, throttledPeriods }: JailStats['cpu']): string | undefined =>
  throttledUs === undefined ? undefined : `${span(throttledUs / 1000)} in ${throttledPeriods ?? 0} periods`
