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

/** `config`, or the place in a file of the value at a path (of its `key`, where one is named). */
export type Where = string | ((path: Path, key?: string) => string)

/** The first issue as a QiError that names the field, the value and the remedy. */
export function issueToError(error: z.ZodError, input: unknown, schema: z.ZodType, where: Where): QiError {
  return toError(error.issues[0] as Issue, input, schema, where)
}

/** All of them, in the order of the schema. */
export const issuesToErrors = (error: z.ZodError, input: unknown, schema: z.ZodType, where: Where): QiError[] =>
  error.issues.map((issue) => toError(issue, input, schema, where))

function toError(outer: Issue, input: unknown, schema: z.ZodType, where: Where): QiError {
  const issue = deepest(outer)
  if (issue.code === 'unrecognized_keys') return unknownKey(issue, schema, where)
  const field = formatField(issue.path)
  const value = valueAt(input, issue.path)
  const params = issue.code === 'custom' ? (issue.params as { qi?: string; hint?: string } | undefined) : undefined
  const code = (params?.qi ?? 'QI_CONFIG') as `QI_${string}`
  const hint = params?.hint ?? nearOption(issue, value)
  const details = { field, value, ...(hint === undefined ? {} : { hint }) }
  const [around, last] = [issue.path.slice(0, -1), String(issue.path.at(-1))]
  const place =
    typeof where === 'string' ? where : outer.code === 'invalid_key' ? where(around, last) : where(issue.path)
  return new QiError(code, `${place}: ${field || 'value'} = ${show(value)}: ${issue.message}`, details)
}

function nearOption(issue: Issue, value: unknown): string | undefined {
  if (issue.code !== 'invalid_value' || typeof value !== 'string') return undefined
  const near = nearest(
    value,
    issue.values.filter((v) => typeof v === 'string')
  )
  return near === undefined ? undefined : `did you mean "${near}"?`
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

function unknownKey(issue: Issue & { code: 'unrecognized_keys' }, schema: z.ZodType, where: Where): QiError {
  const key = issue.keys[0] as string
  const known = keysAt(schema, issue.path)
  const near = nearest(key, known)
  const field = formatField([...issue.path, key])
  const hint = near === undefined ? `known keys: ${known.join(', ')}` : `did you mean "${near}"?`
  const place = typeof where === 'string' ? where : where(issue.path, key)
  return new QiError('QI_CONFIG', `${place}: unknown key ${field}`, { field, value: key, hint })
}

function keysAt(schema: z.ZodType, path: Path): string[] {
  let at: unknown = schema
  for (const part of [...path, undefined]) {
    while (typeof (at as { unwrap?: unknown }).unwrap === 'function') at = (at as { unwrap(): unknown }).unwrap()
    if (part === undefined) return Object.keys(shapeOf(at) ?? {})
    // A list was unwrapped to what it holds; of a record each value is alike.
    at = typeof part === 'number' ? branch(at, part) : (shapeOf(at)?.[String(part)] ?? branch(at, part))
  }
  return []
}

const shapeOf = (schema: unknown): Record<string, unknown> | undefined =>
  (schema as { shape?: Record<string, unknown> }).shape

/** What lies below `part` where that is no key of an object: the value of a record, the object among alternatives. */
function branch(schema: unknown, part: PropertyKey): unknown {
  const { valueType, options, element } = schema as { valueType?: unknown; options?: unknown[]; element?: unknown }
  if (valueType !== undefined) return valueType
  if (options === undefined) return element ?? schema
  const kind = (option: unknown) => (typeof part === 'number' ? 'element' : 'valueType') in (option as object)
  const within = options.find(kind)
  return within ? branch(within, part) : (options.find(shapeOf) ?? schema)
}

function valueAt(input: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, p) => (at === null || at === undefined ? undefined : (at as never)[p]), input)
}

function show(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value))
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}

/** The one that was probably meant. */
export function nearest(written: string, known: string[]): string | undefined {
  // A long word is nobody's slip, and each comparison costs its length.
  if (written.length > 64) return undefined
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
