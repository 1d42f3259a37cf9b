import { createHash } from 'node:crypto'
import { QiError } from '../../errors.js'
import { ancestors, dirname, isWithin, join, type ReadFs, walk } from '../../profile/fs.js'
import { type PolicyDocument, parsePolicy } from './parse.js'
import * as yaml from './source.js'
import { type Caller, foreignReason, stateFolder, type TrustList, trustedContents } from './trust.js'

export const SYSTEM_POLICY = '/etc/qi-jail/policy.yaml'
export const PROJECT_POLICY = '.qi-jail.yaml'

export type PolicyLevel = 'system' | 'user' | 'project' | 'policy'

export interface FoundPolicy {
  level: PolicyLevel
  file: string
  document: PolicyDocument
  /** It may only take away: a project's file whose exact content nobody trusted. */
  narrows: boolean
}

export interface FindRequest extends Caller {
  cwd: string
  /** --policy */
  policy?: string | undefined
  /** For tests: another place of the system's file. */
  systemPolicy?: string | undefined
}

export interface Found {
  /** System first; of a project the outermost first. */
  policies: FoundPolicy[]
  /** What no jail may write: the files, where they would be, and the list of trusted ones. */
  guarded: string[]
}

/** Without any file this costs a look at each place where one could be. */
export function findPolicies(request: FindRequest): Found {
  const { fs } = request
  const system = request.systemPolicy ?? SYSTEM_POLICY
  const user = join(configFolder(request), 'policy.yaml')
  const project = projectPlaces(request)
  const there = (path: string) => fs.lstat(path) !== undefined
  const policies: FoundPolicy[] = []
  for (const [level, file] of [
    ['system', system],
    ['user', user]
  ] as const) {
    if (there(file)) policies.push({ level, file, narrows: false, document: readOwn(request, file) })
  }
  let trusted: TrustList | undefined
  for (const file of project.filter(there)) {
    trusted ??= trustedContents(request)
    policies.push(readProject(fs, file, trusted))
  }
  if (request.policy !== undefined) {
    const file = request.policy.startsWith('/') ? join(request.policy) : join(request.cwd, request.policy)
    policies.push({ level: 'policy', file, narrows: false, document: parsePolicy(readPolicy(fs, file).text, file) })
  }
  const named = policies.map(({ file }) => file)
  return { policies, guarded: [...new Set([configFolder(request), stateFolder(request), ...project, ...named])] }
}

export function configFolder({ env, home }: Pick<Caller, 'env' | 'home'>): string {
  const given = env.XDG_CONFIG_HOME
  return join(given?.startsWith('/') ? given : join(home, '.config'), 'qi-jail')
}

/**
 * `.qi-jail.yaml` from the repository's root down to the working directory; each narrows the one above it, so that a file
 * further down cannot put itself in another's place. Without a repository around it, the working directory's own. Never home's
 * or above: those are not projects.
 */
export function projectPlaces({ fs, cwd, home }: Pick<FindRequest, 'fs' | 'cwd' | 'home'>): string[] {
  const start = walk(fs, cwd).real
  const top = walk(fs, home).real
  if (isWithin(top, start)) return []
  const folders: string[] = []
  for (const folder of ancestors(start)) {
    if (isWithin(top, folder)) break
    folders.push(folder)
    if (fs.lstat(join(folder, '.git'))) return folders.reverse().map((f) => join(f, PROJECT_POLICY))
  }
  return [join(start, PROJECT_POLICY)]
}

function readProject(fs: ReadFs, file: string, trusted: TrustList): FoundPolicy {
  const { text, real, sha256 } = readPolicy(fs, file)
  // A link would bring what was trusted in another project here, where its relative paths mean other folders.
  const isTrusted = real === file && trusted.has(real, sha256)
  return { level: 'project', file, narrows: !isTrusted, document: parsePolicy(text, file) }
}

/** The system's and the user's decide for everybody below: nobody else may be able to write them. */
function readOwn(request: FindRequest, file: string): PolicyDocument {
  const { text } = readPolicy(request.fs, file)
  const wrong = foreignReason(request, file)
  if (!wrong) return parsePolicy(text, file)
  throw new QiError('QI_POLICY_FILE', `${file}: ${wrong.path} ${wrong.reason}`, {
    path: wrong.path,
    value: file,
    hint: wrong.hint
  })
}

/** @throws QiError QI_POLICY_FILE */
export function readPolicy(fs: ReadFs, file: string): { text: string; real: string; sha256: string } {
  const { real, kind } = walk(fs, file)
  const refuse = (reason: string, hint: string) =>
    new QiError('QI_POLICY_FILE', `${file}: ${reason}`, { path: real, value: file, hint })
  if (kind === 'missing') throw refuse('does not exist', 'check the path; --no-policy runs without policy files')
  if (kind !== 'file') throw refuse('is no regular file', 'put a file there')
  const bytes = fs.read(real, yaml.MAX_POLICY_BYTES + 1)
  if (!bytes) throw refuse('cannot be read', `make it readable, or remove it from ${dirname(file)}`)
  const text = Buffer.from(bytes).toString('utf8')
  return { text, real, sha256: createHash('sha256').update(bytes).digest('hex') }
}
