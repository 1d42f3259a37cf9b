import { QiError } from '../../errors.js'
import { issuesToErrors } from '../issues.js'
import type { PolicyFile, ServerEntry } from './schema.js'
import * as schemas from './schema.js'
import type { Source } from './source.js'
import * as yaml from './source.js'

/** A policy file, read and checked: sizes in bytes, durations in milliseconds, cores as numbers. */
export interface PolicyDocument {
  policy: PolicyFile
  source: Source
}

/** @throws QiError with file:line:column */
export function parsePolicy(text: string, file: string): PolicyDocument {
  const source = yaml.readSource(text, file)
  const result = schemas.PolicyFileSchema.safeParse(source.data)
  if (result.success) return { policy: result.data, source }
  throw issuesToErrors(result.error, source.data, schemas.PolicyFileSchema, source.at)[0]
}

/** Everything that is wrong with it; of YAML that cannot be read, the first. */
export function checkPolicy(text: string, file: string): QiError[] {
  try {
    const source = yaml.readSource(text, file)
    const result = schemas.PolicyFileSchema.safeParse(source.data)
    return result.success ? [] : issuesToErrors(result.error, source.data, schemas.PolicyFileSchema, source.at)
  } catch (error) {
    if (error instanceof QiError) return [error]
    throw error
  }
}

/** Both ways of writing `servers:` as one list, each with where it stands. */
export function serverEntries({
  policy: { servers = [] }
}: PolicyDocument): { entry: ServerEntry; path: (string | number)[] }[] {
  if (Array.isArray(servers)) return servers.map((entry, i) => ({ entry, path: ['servers', i] }))
  return Object.entries(servers).map(([name, entry]) => ({ entry: { name, ...entry }, path: ['servers', name] }))
}
