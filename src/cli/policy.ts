import { homedir } from 'node:os'
import { Command } from 'commander'
import { QiError } from '../errors.js'
import { ownDirectory } from '../host/cwd.js'
import { type FoundPolicy, findPolicies, projectPlaces, readPolicy } from '../policy/document/find.js'
import { checkPolicy, parsePolicy } from '../policy/document/parse.js'
import { type Caller, setTrust, trustedContents } from '../policy/document/trust.js'
import { SCHEMAS, schemaText } from '../policy/schema-line.js'
import { join, nodeFs, walk } from '../profile/fs.js'
import { withExamples } from './examples.js'
import { printable } from './printable.js'
import { lines, usage, verb } from './subcommand.js'
import { columns } from './table.js'

const program = (): Command =>
  withExamples(definition(), [
    ['qi-jail policy status', 'the files that a launch here would read, and what each may do'],
    ['qi-jail policy validate .qi-jail.yaml', 'every fault with file:line:column; status 1 when there is one'],
    ['qi-jail policy trust .qi-jail.yaml', 'after reading it: this content may widen, too'],
    ['qi-jail policy untrust .qi-jail.yaml', 'take that back'],
    ['qi-jail policy schema > policy.schema.json', 'the JSON Schema of policy files, for editors']
  ])

const definition = (): Command =>
  new Command('qi-jail policy')
    .description('Shows, checks and trusts policy files (docs/policy.md).')
    .usage('[options] status | validate [file...] | trust [file] | untrust [file] | schema [policy|profile]')
    .argument('<action>', 'status, validate, trust, untrust or schema')
    .argument('[file...]', "default: the project's")
    .option('--json', 'one JSON object a line')
    .helpOption('-h, --help', 'print this help')

export const policy = verb(program, async (command, json) => {
  const [action = '', ...files] = command.args
  const acts: Record<string, (files: string[], json: boolean) => string | { text: string; status: number }> = {
    status,
    validate,
    schema,
    trust: (given, asJson) => trust(given, asJson, true),
    untrust: (given, asJson) => trust(given, asJson, false)
  }
  const act = Object.hasOwn(acts, action) ? acts[action] : undefined
  if (!act)
    throw usage(command, `policy takes status, validate, trust, untrust or schema, not ${JSON.stringify(action)}`)
  return act(files, json)
})

/** Whose files are read, and where. */
export const caller = (): Caller & { cwd: string } => ({
  fs: nodeFs,
  uid: process.getuid?.() ?? -1,
  home: process.env.HOME || homedir(),
  env: process.env,
  cwd: ownDirectory()
})

const MEANING = { own: 'widens and narrows', trusted: 'trusted: widens and narrows', narrows: 'only narrows' } as const

const meaningOf = ({ level, narrows }: FoundPolicy): keyof typeof MEANING =>
  level !== 'project' ? 'own' : narrows ? 'narrows' : 'trusted'

function status(files: string[], json: boolean): string {
  if (files.length > 0) throw new QiError('QI_USAGE', 'status takes no file', { hint: 'qi-jail policy validate FILE' })
  const who = caller()
  const { policies } = findPolicies(who)
  const { ignored } = trustedContents(who)
  const rows = policies.map((found) => ({ level: found.level, file: found.file, trust: meaningOf(found) }))
  if (json) return lines([...rows, ...(ignored === undefined ? [] : [{ ignored }])])
  const note = ignored === undefined ? '' : printable(`the list of trusted files does not count: ${ignored}`)
  if (rows.length === 0) return `no policy file\n${note}`
  return columns(rows.map(({ level, file, trust }) => [level, file, MEANING[trust]])) + (note && `${note}\n`)
}

function validate(files: string[], json: boolean): { text: string; status: number } {
  const who = caller()
  const faults = named(who, files).flatMap((file) => {
    const errors = checkPolicy(readPolicy(nodeFs, file).text, file)
    return errors.map(({ code, message, field, hint }) => ({ file, code, field, message, hint }))
  })
  const text = json
    ? lines(faults)
    : faults.map(({ code, message }) => `${printable(`${code}: ${message}`)}\n`).join('')
  return { text, status: faults.length > 0 ? 1 : 0 }
}

function trust(files: string[], json: boolean, isTrusted: boolean): string {
  const who = caller()
  const told = named(who, files).map((file) => {
    if (!isTrusted) {
      const path = walk(nodeFs, file).real
      setTrust(who, path, undefined)
      return { file: path, trusted: false }
    }
    const { text, real, sha256 } = readPolicy(nodeFs, file)
    if (nodeFs.lstat(file)?.kind === 'link')
      throw new QiError('QI_POLICY_TRUST', `${file} is a symbolic link, and trust does not follow it`, {
        path: file,
        value: real,
        hint: 'put a copy in its place, or trust what it leads to, in the project that that is in'
      })
    // What cannot be read as a policy was not read by who trusts it, either.
    parsePolicy(text, file)
    setTrust(who, real, sha256)
    return { file: real, trusted: true, sha256 }
  })
  if (json) return lines(told)
  const sentence = ({ file, trusted }: { file: string; trusted: boolean }) =>
    trusted ? `trusted as it is now: ${file}` : `no longer trusted: ${file}`
  return told.map((one) => `${printable(sentence(one))}\n`).join('')
}

/** As it was generated from what policy files, or profiles in files of their own, are read by. */
function schema([written = 'policy', ...more]: string[]): string {
  const name = SCHEMAS.find((known) => known === written)
  if (name && more.length === 0) return schemaText(name)
  throw new QiError('QI_USAGE', `policy schema takes ${SCHEMAS.join(' or ')}, not ${[written, ...more].join(' ')}`, {
    field: 'schema',
    value: written,
    hint: 'qi-jail policy schema'
  })
}

/** The given files, else those of the project around the working directory. */
function named(who: ReturnType<typeof caller>, files: string[]): string[] {
  if (files.length > 0) return files.map((file) => (file.startsWith('/') ? join(file) : join(who.cwd, file)))
  const found = projectPlaces(who).filter((file) => nodeFs.lstat(file) !== undefined)
  if (found.length > 0) return found
  throw new QiError('QI_POLICY_FILE', 'there is no .qi-jail.yaml here', { hint: 'name the file' })
}
