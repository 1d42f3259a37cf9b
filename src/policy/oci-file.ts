import * as yaml from 'yaml'
import { QiError } from '../errors.js'
import { lacking, lifted, type OciProfile, readOci } from '../filter/oci.js'
import * as schemas from '../filter/oci-schema.js'
import type { HostFacts } from '../host/facts.js'
import { type ReadFs, readText } from '../profile/fs.js'
import { formatField } from './issues.js'
import type { Written } from './merge.js'

const MAX_BYTES = 1 << 20

/**
 * The seccomp profile that `syscalls.oci` names, for this host.
 * @throws QiError QI_SYSCALLS at the line and column of what cannot be honoured.
 */
export function loadOci(
  written: Written<string>,
  file: string,
  allow: readonly string[],
  fs: ReadFs,
  { arch, kernel }: Pick<HostFacts, 'arch' | 'kernel'>
): OciProfile {
  const text = readText(fs, file, MAX_BYTES + 1)
  const fault = (where: string, message: string, hint: string, value: unknown = written.value): QiError =>
    new QiError('QI_SYSCALLS', `${where}: ${message}`, { field: written.field, value, path: file, hint })
  if (text === undefined || text.length > MAX_BYTES) {
    const where = `${written.origin} = ${JSON.stringify(written.value)}`
    throw fault(where, `${file} cannot be read, or is larger than 1 MiB`, 'name a seccomp profile in JSON')
  }
  const { input, at } = parse(text, (where, message) => fault(`${file}${where}`, message, 'correct the JSON'))
  const result = schemas.OciSchema.safeParse(input)
  if (!result.success) {
    const { path, message } = firstIssue(result.error.issues)
    throw fault(`${file}${at(path)}: ${formatField(path)}${show(input, path)}`, message, 'correct the profile')
  }
  const read = readOci(result.data, arch, kernel)
  if ('path' in read) {
    const where = `${file}${at(read.path)}: ${formatField(read.path)}`
    throw fault(where, read.reason, read.hint)
  }
  const profile = { origin: `${written.origin}: ${file}`, ...lifted(read, allow) }
  const missing = lacking(profile, arch)
  if (missing === undefined) return profile
  const message = `does not let ${missing} pass whatever its arguments, and no command starts without it`
  throw fault(file, message, `allow it there, or with syscalls.allow: [${missing}]`)
}

type At = (path: readonly PropertyKey[]) => string

/** JSON as JSON has it, and once more as YAML, which has the places, all 64 bits of numbers, and no key twice. */
function parse(text: string, fault: (where: string, message: string) => QiError): { input: unknown; at: At } {
  const lines = new yaml.LineCounter()
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return `:${line}:${col}`
  }
  try {
    JSON.parse(text)
  } catch (error) {
    throw fault('', (error as Error).message)
  }
  // Tabs are white space to JSON and an error to YAML; none is inside a string (JSON forbids it), so columns stay.
  const document = yaml.parseDocument(text.replaceAll('\t', ' '), { lineCounter: lines, intAsBigInt: true })
  const [wrong] = document.errors
  if (wrong) throw fault(place(wrong.pos[0]), wrong.message.split('\n')[0]?.replace(/ at line \d+.*$/, '') ?? '')
  const at: At = (path) => {
    for (let length = path.length; length >= 0; length--) {
      const node = document.getIn(path.slice(0, length), true) as { range?: [number, number, number] } | undefined
      if (node?.range) return place(node.range[0])
    }
    return ':1:1'
  }
  return { input: document.toJS({ maxAliasCount: 0 }), at }
}

type Issues = { code: string; path: PropertyKey[]; message: string; keys?: string[] }[]

function firstIssue(issues: unknown): { path: PropertyKey[]; message: string } {
  const [issue] = issues as Issues
  if (issue === undefined) return { path: [], message: 'is not understood' }
  if (issue.code !== 'unrecognized_keys') return issue
  return { path: [...issue.path, issue.keys?.[0] ?? ''], message: 'is a key that cannot be honoured' }
}

function show(input: unknown, path: readonly PropertyKey[]): string {
  const value = path.reduce<unknown>(
    (at, key) => (at === null || at === undefined ? undefined : at[key as never]),
    input
  )
  const text = typeof value === 'string' ? JSON.stringify(value) : typeof value === 'bigint' ? String(value) : undefined
  return text === undefined ? '' : ` = ${text.slice(0, 80)}`
}
