import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { PACKAGE_DIR } from './profiles.js'

/** The kinds of files that we read, each with a schema beside it in the package. */
export const SCHEMAS = ['policy', 'profile'] as const
export type SchemaName = (typeof SCHEMAS)[number]

const schemaFile = (name: SchemaName): string => join(PACKAGE_DIR, 'schema', `${name}.schema.json`)

export const schemaText = (name: SchemaName): string => readFileSync(schemaFile(name), 'utf8')

/**
 * By which an editor finds the schema of the policy `file`, without the `#`. Of a package below the file's folder by the way
 * there, which is the same for everybody who has the project; else this machine's.
 */
export function schemaLine(file: string): string {
  const way = relative(dirname(file), schemaFile('policy'))
  const url = way.startsWith('..') ? pathToFileURL(schemaFile('policy')).href : `./${encodeURI(way)}`
  return ` yaml-language-server: $schema=${url}`
}
