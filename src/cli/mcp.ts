import { homedir } from 'node:os'
import { Command } from 'commander'
import { hunkText } from '../client/diff.js'
import {
  CLIENTS,
  inspectPlaces,
  isClient,
  type Place,
  type Planned,
  placeOfFile,
  placesOf,
  plan,
  type ServerInfo,
  type Surroundings
} from '../client/index.js'
import { ownDirectory } from '../host/cwd.js'
import { withExamples } from './examples.js'
import { printable } from './printable.js'
import { verb as asVerb, lines, usage } from './subcommand.js'
import { columns } from './table.js'

interface Options {
  client?: string
  server?: string
  profile?: string
  dryRun?: boolean
}

const program = (): Command =>
  withExamples(definition(), [
    ['qi-jail mcp list', 'every server of every client found here'],
    ['qi-jail mcp wrap --client claude-desktop --dry-run', 'show what would be changed'],
    ['qi-jail mcp wrap --client vscode --server github', 'one server, by the profile made for it'],
    ['qi-jail mcp wrap --client ./my.json --profile dev', 'another file, another profile'],
    ['qi-jail mcp unwrap --client claude-desktop', 'as it was, byte for byte']
  ])

const definition = (): Command =>
  new Command('qi-jail mcp')
    .usage('[options] [list | status | wrap | unwrap]')
    .description(
      "Puts qi-jail in front of the servers in an MCP client's configuration, and takes it away again (docs/clients.md). " +
        'Status 1: a server that is started by a command was left alone, and why is told.'
    )
    .argument('[verb]', 'list, status, wrap or unwrap')
    .option('--client <name|file>', `${CLIENTS.join(', ')}, or a file; list and status look at all without it`)
    .option('--server <name>', 'this one only')
    .option('--profile <name|file>', 'for wrap; without it the one made for the server, or strict')
    .option('--dry-run', 'show the change, write nothing')
    .option('--json', 'answers and errors as JSON')
    .helpOption('-h, --help', 'print this help')

export const mcp = asVerb(program, answer)

async function answer(command: Command, json: boolean): Promise<string | { text: string; status: number }> {
  const options = command.opts<Options>()
  const [verb = 'list'] = command.args
  const around = { env: process.env, home: process.env.HOME || homedir(), cwd: ownDirectory() }
  if (verb === 'wrap' || verb === 'unwrap') {
    if (options.client === undefined) throw usage(command, `${verb} the servers of which client? --client NAME`)
    if (verb === 'unwrap' && options.profile !== undefined) throw usage(command, 'unwrap takes no --profile')
    const { server, profile } = options
    const named = { ...(server === undefined ? {} : { server }), ...(profile === undefined ? {} : { profile }) }
    return change(plan(placesFor(command, options, around), { verb, ...named }, around), options.dryRun ?? false, json)
  }
  if (verb !== 'list' && verb !== 'status') throw usage(command, `unknown verb ${JSON.stringify(verb)}`)
  if (options.profile !== undefined || options.dryRun) throw usage(command, `${verb} changes nothing`)
  const all = inspectPlaces(placesFor(command, options, around), around)
  const found = all.filter((info) => options.server === undefined || info.server === options.server)
  if (json) return lines(found)
  if (found.length === 0) return 'no servers found\n'
  return verb === 'list' ? listing(found) : states(found)
}

function placesFor(command: Command, { client }: Options, around: Surroundings): Place[] {
  if (client === undefined) return CLIENTS.flatMap((name) => placesOf(name, around))
  if (isClient(client)) return placesOf(client, around)
  if (client.includes('/') || /\.jsonc?$/.test(client)) return [placeOfFile(client, around)]
  throw usage(
    command,
    `unknown client ${JSON.stringify(client)}; known are ${CLIENTS.join(', ')}, or the path of a file`
  )
}

/** Where a server is written, once for each file. */
function byFile(found: ServerInfo[], row: (info: ServerInfo) => string[]): string {
  const files = new Map<string, ServerInfo[]>()
  for (const info of found) {
    const key = `${info.file}${info.project === undefined ? '' : ` (project ${info.project})`}`
    files.set(key, [...(files.get(key) ?? []), info])
  }
  return [...files].map(([file, infos]) => `${printable(file)}\n${columns(infos.map(row))}`).join('')
}

const MAX_COMMAND = 100
const short = (words: string[] = []): string => {
  const text = words.join(' ')
  return text.length > MAX_COMMAND ? `${text.slice(0, MAX_COMMAND)}…` : text
}

const listing = (found: ServerInfo[]): string =>
  byFile(found, ({ server, state, command }) => [server, state, short(command)])

const states = (found: ServerInfo[]): string =>
  byFile(found, ({ server, state, profile, loads, notes }) => [
    server,
    state,
    state !== 'wrapped' || profile === undefined ? '-' : loads ? profile : `${profile} (does not load)`,
    notes.join('; ')
  ])

function change(planned: Planned[], isDry: boolean, json: boolean): { text: string; status: number } {
  if (!isDry) for (const { write } of planned) write()
  const changes = planned.flatMap((file) => file.changes)
  const status = changes.some(({ outcome, state }) => outcome === 'left alone' && state !== 'remote') ? 1 : 0
  if (json) {
    const files = planned.map(({ write: _, changes: done, hunks, ...rest }) => ({
      ...rest,
      dryRun: isDry,
      changes: done,
      ...(isDry ? { diff: hunks.flatMap(hunkText) } : {})
    }))
    return { text: lines(files), status }
  }
  return { text: planned.map((file) => told(file, isDry)).join('') || 'no servers found\n', status }
}

function told({ file, changes, hunks, backup }: Planned, isDry: boolean): string {
  const rows = changes.map(({ server, project, outcome, state, profile, notes }) => [
    project === undefined ? server : `${server} (${project})`,
    outcome,
    outcome === 'left alone' ? state : outcome === 'unwrapped' ? '-' : (profile ?? '-'),
    notes.join('; ')
  ])
  const table = `${printable(file)}\n${rows.length ? columns(rows) : '  no servers\n'}`
  if (isDry)
    return `${table}${hunks
      .flatMap(hunkText)
      .map((line) => `${printable(line)}\n`)
      .join('')}`
  return backup === undefined ? table : `${table}  as it was before: ${printable(backup)}\n`
}
