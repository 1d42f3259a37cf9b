/** Refusals as events tell them, put together by what was refused. */
import { readFileSync } from 'node:fs'
import { QiError } from '../errors.js'
import type { AuditLog } from '../event/schema.js'
import * as schemas from '../event/schema.js'
import { hostAndPort } from '../launch/ask.js'
import type { Access } from './path.js'

export interface Refused {
  /** Of the event, e.g. `network.refused`. */
  action: string
  kind: 'path' | 'host' | 'syscall'
  /** To ask about: a path, a host with its port, the name of a call. */
  what: string
  access?: Access
  count: number
  /** As it was recorded. */
  rule: string
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
const member = (of: unknown, name: string): unknown => (of as Record<string, unknown> | undefined)?.[name]

/** What one event says was refused; undefined for every other event. */
export function refusedBy({ event, context: { parameters = {} } }: AuditLog): Refused | undefined {
  if (event.outcome !== 'blocked' && parameters.wouldBe !== 'blocked') return undefined
  const { action } = event
  const target = targetOf(action, parameters)
  if (!target) return undefined
  const count = Number.isSafeInteger(parameters.repeatCount) ? (parameters.repeatCount as number) : 1
  return { action, ...target, count, rule: isText(parameters.rule) ? parameters.rule : '' }
}

const ACCESS: Record<string, Access> = { 'file.read': 'read', 'file.execute': 'execute' }

function targetOf(
  action: string,
  parameters: Record<string, unknown>
): Pick<Refused, 'kind' | 'what' | 'access'> | undefined {
  const { path, host, syscall, arguments: given } = parameters
  if (isText(path)) {
    const access = action.startsWith('network.') ? 'read' : (ACCESS[action] ?? 'write')
    return { kind: 'path', what: path, access }
  }
  // Of the payload's own call, or of a datagram that the gateway saw.
  const address = member(given, 'address') ?? parameters.address
  const name = isText(host) ? host : isText(address) ? address : member(address, 'address')
  const port = [parameters.port, member(given, 'port'), member(address, 'port')].find(Number.isInteger)
  if (/^(?:network|dns)\./.test(action) && isText(name)) {
    const transport = parameters.protocol === 'udp' && port !== undefined ? '/udp' : ''
    return { kind: 'host', what: `${hostAndPort(name, port as number | undefined)}${transport}` }
  }
  return isText(syscall) ? { kind: 'syscall', what: syscall } : undefined
}

/** Each once, most frequent first. */
export function grouped(all: Refused[]): Refused[] {
  const byKey = new Map<string, Refused>()
  for (const each of all) {
    const key = JSON.stringify([each.action, each.kind, each.what, each.access])
    const known = byKey.get(key)
    byKey.set(key, known ? { ...known, count: known.count + each.count } : each)
  }
  return [...byKey.values()].sort((a, b) => b.count - a.count || (a.what < b.what ? -1 : a.what > b.what ? 1 : 0))
}

/** @throws QiError QI_AUDIT_FILE for a file that cannot be read or holds something else. */
export function readRefusals(file: string): Refused[] {
  const lines = textOf(file).split('\n')
  return grouped(
    lines.flatMap((line, i) => (line.trim() === '' ? [] : (refusedBy(eventOf(line, `${file}:${i + 1}`)) ?? [])))
  )
}

const HINT = 'name a file that --audit wrote'

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const details = { field: '--from', value: file, path: file, hint: HINT, cause, ...(code ? { errno: code } : {}) }
    throw new QiError('QI_AUDIT_FILE', `${file} cannot be read: ${code}`, details)
  }
}

function eventOf(line: string, where: string): AuditLog {
  let read: unknown
  try {
    read = JSON.parse(line)
  } catch {
    // told below
  }
  const { success, data } = schemas.AuditLogSchema.safeParse(read)
  if (success) return data
  throw new QiError('QI_AUDIT_FILE', `${where}: is no audit event`, { field: '--from', value: where, hint: HINT })
}
