import type { z } from 'zod'
import { QiError } from '../errors.js'

type Issue = z.core.$ZodIssue
type Path = readonly PropertyKey[]

/** `['filesystem', 'readOnlyPaths', 0]` -> `filesystem.readOnlyPaths[0]` */
export function formatField(path: Path): string {
  return path.reduce<string>(
    (out, p) => (typeof p === 'number' ? `${out}[${p}]` : out ? `${out}.${String(p)}` : String(p)),
    ''
  )
}

/** The first issue as a QiError that names the field, the value and the remedy. `where`: file position or `config`. */
export function issueToError(error: z.ZodError, input: unknown, schema: z.ZodType, where: string): QiError {
  const issue = deepest(error.issues[0] as Issue)
  if (issue.code === 'unrecognized_keys') return unknownKey(issue, schema, where)
  const field = formatField(issue.path)
  const value = valueAt(input, issue.path)
  const params = issue.code === 'custom' ? (issue.params as { qi?: string; hint?: string } | undefined) : undefined
  const code = (params?.qi ?? 'QI_CONFIG') as `QI_${string}`
  const details = { field, value, ...(params?.hint === undefined ? {} : { hint: params.hint }) }
  return new QiError(code, `${where}: ${field || 'value'} = ${show(value)}: ${issue.message}`, details)
}

/** A union reports one generic issue; what went wrong in the branch that got furthest says more. */
function deepest(issue: Issue): Issue {
  if (issue.code === 'invalid_key' && issue.issues[0]) return { ...(issue.issues[0] as Issue), path: issue.path }
  if (issue.code !== 'invalid_union') return issue
  const branches = issue.errors.map((branch) => branch[0]).filter((b): b is Issue => b !== undefined)
  const best = branches.find((b) => b.code !== 'invalid_type') ?? branches.find((b) => b.path.length > 0)
  if (!best) return { ...issue, message: 'has the wrong type' } as Issue
  const inner = deepest(best)
  return { ...inner, path: [...issue.path, ...inner.path] }
}

function unknownKey(issue: Issue & { code: 'unrecognized_keys' }, schema: z.ZodType, where: string): QiError {
  const key = issue.keys[0] as string
  const known = keysAt(schema, issue.path)
  const near = nearest(key, known)
  const field = formatField([...issue.path, key])
  const hint = near ? `did you mean "${near}"?` : `known keys: ${known.join(', ')}`
  return new QiError('QI_CONFIG', `${where}: unknown key ${field}`, { field, value: key, hint })
}

function keysAt(schema: z.ZodType, path: Path): string[] {
  let at: unknown = schema
  for (const part of [...path, undefined]) {
    while (typeof (at as { unwrap?: unknown }).unwrap === 'function') at = (at as { unwrap(): unknown }).unwrap()
    // A list was unwrapped to what it holds.
    if (typeof part === 'number') {
      at = objectIn(at)
      continue
    }
    const shape = (at as { shape?: Record<string, unknown> }).shape
    if (!shape) return []
    if (part === undefined) return Object.keys(shape)
    at = shape[String(part)] ?? {}
  }
  return []
}

/** The branch of a union that has keys. */
const objectIn = (schema: unknown): unknown =>
  (schema as { options?: { shape?: object }[] }).options?.find((branch) => branch.shape) ?? schema

function valueAt(input: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, p) => (at === null || at === undefined ? undefined : (at as never)[p]), input)
}

function show(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value))
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}

/** The one that was probably meant. */
export function nearest(written: string, known: string[]): string | undefined {
  const rated = known.map((word) => ({ word, far: distance(written.toLowerCase(), word.toLowerCase()) }))
  const near = rated.sort((a, b) => a.far - b.far)[0]
  return near && near.far <= Math.max(2, written.length / 3) ? near.word : undefined
}

/** Edit distance; both words are short. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, swap))
    }
    row = next
  }
  return row[b.length] as number
}
