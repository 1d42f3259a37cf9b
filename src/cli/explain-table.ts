import type { Explanation, ToldCalls } from '../explain/types.js'
import type { Paint } from './color.js'
import { bytes, span } from './human.js'
import { printable } from './printable.js'
import { section } from './table.js'

/** What --dry-run and explain have in common, for a person. */
export function explanationText(told: Explanation, paint: Paint): string {
  const { profile, command, identity: id, network } = told
  const head = [
    `profile   ${profile.name}: ${profile.purpose}`,
    ...(command
      ? [
          `command   ${command.argv.map(quote).join(' ')}`,
          `exec      ${command.file}`,
          `cwd       ${command.cwd}${command.cwdNote ? ` (${command.cwdNote})` : ''}`
        ]
      : ['command   none: what a command itself needs is granted besides']),
    `user      ${id.uidInside}:${id.gidInside} inside, ${id.uidOutside}:${id.gidOutside} on the host`,
    `network   ${networkLine(network)}`,
    `audit     ${told.audit ?? 'events to the caller only'}`
  ]
  const rows = <T>(list: T[], row: (item: T) => string[]) => list.map(row)
  return [
    ...head.map((line) => `${printable(line)}\n`),
    section(
      'policy files',
      rows(told.policyFiles, ({ file, level, trust }) => [level, file, TRUST[trust]]),
      paint
    ),
    section(
      'grants',
      rows(told.grants, (g) => [g.access, g.path, g.origin]),
      paint
    ),
    section(
      'hosts',
      rows(network.rules, ({ rule, origin }) => [rule, origin]),
      paint
    ),
    section(
      'sockets of the host',
      rows(told.unixSockets, ({ path, origin, risk }) => [path, origin, risk ? `RISK: ${risk}` : '']),
      paint
    ),
    section(
      'links',
      rows(told.symlinks, (l) => [`${l.path} -> ${l.target}`, l.origin]),
      paint
    ),
    section(
      'files of the jail',
      rows(told.files, (f) => [f.path, f.origin]),
      paint
    ),
    section(
      'denies',
      rows(told.denies, (d) => [d.kind, d.path, `${d.now === 'missing' ? 'not there; ' : ''}${d.origin}`]),
      paint
    ),
    section(
      'denied names',
      rows(told.mediation?.patterns ?? [], ({ pattern, origin }) => [pattern, origin]),
      paint
    ),
    section(
      'where each open is decided',
      rows(told.mediation?.folders ?? [], (folder) => [folder]),
      paint
    ),
    section(
      'env',
      rows(told.env, ({ name, origin }) => [name, origin]),
      paint
    ),
    section(
      'settings',
      rows(told.settings, ({ name, value, origin }) => [name, String(value), origin]),
      paint
    ),
    section(
      'limits',
      rows(told.limits, ({ name, value, origin }) => [name, figure(name, value), origin]),
      paint
    ),
    section(
      'parsed, not enforced by the jail',
      rows(told.notes, ({ text, origin }) => [text, origin]),
      paint
    )
  ].join('')
}

/** What explain adds: the table of system calls, and each layer on this host. */
export function detailsText({ syscalls, protections }: Explanation, paint: Paint): string {
  const states = protections.map(({ name, state, reason, refused }) => [refused ? 'REFUSED' : state, name, reason])
  return [section('system calls', syscalls.map(callsRow), paint), section('layers on this host', states, paint)].join(
    ''
  )
}

const TRUST = { own: '', trusted: 'trusted', narrows: 'only narrows' } as const

function callsRow({ group, allowed, judged, refused, answer, reason }: ToldCalls): string[] {
  const fates = [
    allowed.length > 0 ? `${allowed.length} allowed` : '',
    judged.length > 0 ? `${judged.length} by case` : '',
    refused.length > 0 ? `${refused.length} refused: ${answer}` : ''
  ]
  return [group, fates.filter(Boolean).join(', '), reason]
}

const SIZES = /^(?:max(?:FileSize|Memory)|memoryThreshold|tmpSize)$/
const TIMES = /^(?:maxExecutionTime|terminationGrace)$/

/** A limit as a person writes it. */
export function figure(name: string, value: unknown): string {
  if (typeof value === 'number' && SIZES.test(name)) return bytes(value)
  if (typeof value === 'number' && TIMES.test(name)) return span(value)
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function networkLine({ mode, innerLoopback, maxConnections, onDenied, askMs }: Explanation['network']): string {
  return [
    mode,
    ...(innerLoopback ? ['own loopback'] : []),
    ...(maxConnections ? [`${maxConnections} connections`] : []),
    ...(onDenied ? [`others get ${onDenied}`] : []),
    ...(askMs ? [`others are asked about, ${askMs} ms`] : [])
  ].join(', ')
}

const quote = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : JSON.stringify(text))
