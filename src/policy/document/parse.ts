import { issueToError } from '../issues.js'
import { type PolicyFile, PolicyFileSchema, type ServerEntry } from './schema.js'
import { readSource, type Source } from './source.js'

/** A policy file, read and checked: sizes in bytes, durations in milliseconds, cores as numbers. */
export interface PolicyDocument {
  policy: PolicyFile
  source: Source
}

/** @throws QiError with file:line:column */
export function parsePolicy(text: string, file: string): PolicyDocument {
  const source = readSource(text, file)
  const result = PolicyFileSchema.safeParse(source.data)
  if (result.success) return { policy: result.data, source }
  throw issueToError(result.error, source.data, PolicyFileSchema, source.at)
}

/** Both ways of writing `servers:` as one list, each with where it stands. */
export function serverEntries({
  policy: { servers = [] }
}: PolicyDocument): { entry: ServerEntry; path: (string | number)[] }[] {
  if (Array.isArray(servers)) return servers.map((entry, i) => ({ entry, path: ['servers', i] }))
  return Object.entries(servers).map(([name, entry]) => ({ entry: { name, ...entry }, path: ['servers', name] }))
}
