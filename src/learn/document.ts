import * as yaml from 'yaml'
import { printable } from '../cli/printable.js'
import { QiError } from '../errors.js'
import { parseSize } from '../policy/units.js'
import type { Entry, Proposal } from './propose.js'

export interface WriteOptions {
  /** Of the profile in the file. */
  name: string
  extends: string
  /** First lines of a new file, each a comment without its `#`. */
  head: string[]
}

const LISTS = {
  'filesystem.readOnlyPaths': 'readOnlyPaths',
  'filesystem.allowedPaths': 'allowedPaths',
  'filesystem.deniedPaths': 'deniedPaths',
  'network.allowedHosts': 'allowedHosts',
  'network.udp': 'udp',
  'syscalls.allow': 'syscalls',
  env: 'env'
} as const

const DRAFTS = ' Not given: take away the # of a line, and put it under its key, if the risk is yours to take.'

/**
 * The policy file for a proposal: a new one, or `existing` with what it lacks. Nothing that stands there is taken away, but a
 * limit is raised where more was needed.
 */
export function writeDocument(
  proposal: Proposal,
  { name, extends: base, head }: WriteOptions,
  existing?: string
): string {
  const document = existing === undefined ? new yaml.Document({}) : yaml.parseDocument(existing)
  const fault = document.errors[0]
  if (fault)
    throw new QiError('QI_POLICY_SYNTAX', `the policy to merge into is no YAML: ${fault.message.split('\n')[0]}`, {
      hint: 'correct it, or write a new file'
    })
  if (existing === undefined) document.commentBefore = head.join('\n')
  const profile = mapAt(document, ['sandbox', 'profiles', name])
  if (!profile.has('extends')) profile.items.unshift(new yaml.Pair(new yaml.Scalar('extends'), new yaml.Scalar(base)))
  for (const [key, list] of Object.entries(LISTS))
    addAll(document, [...['sandbox', 'profiles', name], ...key.split('.')], proposal[list])
  for (const [key, value] of Object.entries(proposal.limits))
    raiseLimit(document, ['sandbox', 'profiles', name, 'resources', key], value)
  if (!document.hasIn(['sandbox', 'default'])) document.setIn(['sandbox', 'default'], name)
  profile.comment = withDrafts(profile.comment ?? undefined, proposal)
  return document.toString({ lineWidth: 0 })
}

/** The mapping there, made where it is missing. */
function mapAt(document: yaml.Document, path: string[]): yaml.YAMLMap {
  for (let depth = 0; depth <= path.length; depth++) {
    const at = path.slice(0, depth)
    const node = document.getIn(at, true)
    if (yaml.isMap(node)) continue
    if (node !== undefined && !(yaml.isScalar(node) && node.value === null)) throw notThat(at, 'a mapping')
    document.setIn(at, new yaml.YAMLMap())
  }
  return document.getIn(path, true) as yaml.YAMLMap
}

const notThat = (path: string[], what: string): QiError =>
  new QiError('QI_POLICY_SYNTAX', `the policy to merge into: ${path.join('.') || 'the file'} is not ${what}`, {
    field: path.join('.'),
    hint: 'correct it, or write a new file'
  })

function addAll(document: yaml.Document, path: string[], entries: Entry[]): void {
  if (entries.length === 0) return
  mapAt(document, path.slice(0, -1))
  if (!document.hasIn(path)) document.setIn(path, new yaml.YAMLSeq())
  const list = document.getIn(path, true)
  if (!yaml.isSeq(list)) throw notThat(path, 'a list')
  const had = new Set(list.items.map((item) => (yaml.isScalar(item) ? item.value : undefined)))
  for (const { value, because } of entries.filter((entry) => !had.has(entry.value))) {
    const item = new yaml.Scalar(value)
    item.comment = printable(` ${because}`)
    list.add(item)
  }
}

function raiseLimit(document: yaml.Document, path: string[], value: number): void {
  mapAt(document, path.slice(0, -1))
  const had = document.getIn(path)
  const isSize = path.at(-1) === 'maxMemory'
  const hadValue = isSize && (typeof had === 'string' || typeof had === 'number') ? parseSize(had).value : had
  if (typeof hadValue === 'number' && hadValue >= value) return
  document.setIn(path, isSize ? `${value / 2 ** 20}MiB` : value)
}

function withDrafts(had: string | undefined, { drafts }: Proposal): string | undefined {
  const lines = drafts.map(({ key, value, because, risk }) =>
    printable(` ${key}: - ${JSON.stringify(value)}  # ${because}; ${risk}`)
  )
  const fresh = lines.filter((line) => !had?.includes(line))
  if (fresh.length === 0) return had
  return [...(had ? [had] : [DRAFTS]), ...fresh].join('\n')
}
