import { readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { PACKAGE_DIR } from './profiles.js'

/** The kinds of files that we read, each with a schema beside it in the package. */
export const SCHEMAS = ['policy', 'profile'] as const
export type SchemaName = (typeof SCHEMAS)[number]

const schemaFile = (name: SchemaName): string => join(PACKAGE_DIR, 'schema', `${name}.schema.json`)

export const schemaText = (name: SchemaName): string => readFileSync(schemaFile(name), 'utf8')

/**
 * The first line of a policy `file`, without the `#`. By it an editor finds the schema of a package that is installed in the
 * file's folder, which is the same for everybody who has the project. A path of this machine would be nobody else's.
 */
export function schemaLine(file: string): string {
  const way = WAYS.map((folder) => `${folder}/schema/policy.schema.json`).find((each) =>
    isOurs(join(dirname(file), each))
  )
  if (way !== undefined) return ` yaml-language-server: $schema=${way}`
  return ' Editors complete this file by a schema: `qi-jail policy schema` prints it, docs/policy.md says how they find it.'
}

const WAYS = ['./node_modules/qi-jail', '.']

function isOurs(path: string): boolean {
  try {
    return realpathSync(path) === realpathSync(schemaFile('policy'))
  } catch {
    return false
  }
}
