import { fileURLToPath } from 'node:url'
import { QiError } from '../errors.js'
import { basename, dirname, join, nodeFs, type ReadFs, readText, walk } from '../profile/fs.js'
import type { ParsedProfileFile } from './config.js'
import * as schemas from './config.js'
import * as yaml from './document/source.js'
import { issuesToErrors, issueToError } from './issues.js'
import type { Layer } from './merge.js'
import { PARSED } from './shipped.js'

/** Root of this package: two levels up, from src/policy and from dist/policy alike. */
export const PACKAGE_DIR = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
export const PROFILES_DIR = join(PACKAGE_DIR, 'profiles')
export const DEFAULT_PROFILE = 'strict'

export interface LoadedProfile {
  name: string
  purpose: string
  /** The extends chain, base first. */
  layers: Layer[]
  /** The files that were read, at their written place: no jail may write them. */
  files: string[]
}

export interface LoadOptions {
  /** What relative file names are relative to. */
  cwd?: string
  fs?: ReadFs
  profilesDir?: string
}

/**
 * A name is looked up in profiles/, `servers/NAME` too; anything else with a slash or ending in .yaml/.yml is a file. A
 * file of that very shape is written ./servers/NAME: what stands in the working directory must not replace what we ship.
 */
export function loadProfile(nameOrFile = DEFAULT_PROFILE, options: LoadOptions = {}): LoadedProfile {
  const context = { cwd: process.cwd(), fs: nodeFs, profilesDir: PROFILES_DIR, ...options }
  const chain: { file: string; parsed: ParsedProfileFile }[] = []
  let next: string | undefined = nameOrFile
  let base = context.cwd
  while (next !== undefined) {
    const file = locate(next, base, context)
    const seen = [...chain.map((c) => c.file), file]
    if (seen.indexOf(file) !== seen.length - 1) {
      const path = seen.map((f) => basename(f)).join(' -> ')
      throw new QiError('QI_PROFILE_CYCLE', `profile ${next} extends itself: ${path}`, {
        field: 'extends',
        value: next,
        path: file,
        hint: 'remove one "extends"'
      })
    }
    const parsed = parseProfile(context.fs, file, label(file, context.profilesDir))
    chain.push({ file, parsed })
    next = parsed.extends
    base = dirname(file)
  }
  const top = (chain[0] as (typeof chain)[0]).parsed
  const layers = chain.map(({ file, parsed }) => toLayer(parsed, label(file, context.profilesDir))).reverse()
  return { name: top.name, purpose: top.purpose, layers, files: chain.map((c) => c.file) }
}

function toLayer(parsed: ParsedProfileFile, origin: string): Layer {
  const { name: _name, purpose: _purpose, extends: _extends, ...config } = parsed
  return { origin, config }
}

const label = (file: string, dir: string): string =>
  dirname(file) === dir || dirname(file) === join(dir, 'servers') ? `profiles/${file.slice(dir.length + 1)}` : file

export function listProfiles(fs: ReadFs = nodeFs, dir = PROFILES_DIR): string[] {
  return fs
    .list(dir)
    .filter((e) => e.name.endsWith('.yaml'))
    .map((e) => e.name.slice(0, -'.yaml'.length))
    .sort()
}

/** Profiles made for one server: `servers/github`. */
export const listServerProfiles = (fs: ReadFs = nodeFs, dir = PROFILES_DIR): string[] =>
  listProfiles(fs, join(dir, 'servers')).map((name) => `servers/${name}`)

/** The name of a profile of ours, not the path of a file. */
export const isShipped = (name: string): boolean => /^(?:servers\/)?[^/]+$/.test(name) && !/\.ya?ml$/.test(name)

function locate(name: string, base: string, { fs, profilesDir }: Required<LoadOptions>): string {
  const isFile = !isShipped(name)
  const file = !isFile ? join(profilesDir, `${name}.yaml`) : name.startsWith('/') ? join(name) : join(base, name)
  if (!name.includes('\0') && walk(fs, file).kind === 'file') return file
  const known = [...listProfiles(fs, profilesDir), ...listServerProfiles(fs, profilesDir)].join(', ')
  throw new QiError('QI_PROFILE_UNKNOWN', `profile ${JSON.stringify(name)} does not exist`, {
    field: 'profile',
    value: name,
    path: file,
    hint: `use one of ${known}, or the path of a profile file`
  })
}

const MAX_PROFILE_BYTES = 1 << 20

/** @internal */
export function parseProfile(fs: ReadFs, file: string, where: string): ParsedProfileFile {
  const text = profileText(fs, file, where)
  const parsed = PARSED.get(text)
  if (parsed !== undefined) return JSON.parse(parsed)
  const source = yaml.readSource(text, where, 'QI_PROFILE_SYNTAX')
  const result = schemas.ProfileFileSchema.safeParse(source.data)
  if (result.success) return result.data
  throw issueToError(result.error, source.data, schemas.ProfileFileSchema, source.at)
}

/** Everything that is wrong with one file by itself; of YAML that cannot be read, the first. */
export function checkProfile(fs: ReadFs, file: string): QiError[] {
  try {
    const source = yaml.readSource(profileText(fs, file, file), file, 'QI_PROFILE_SYNTAX')
    const result = schemas.ProfileFileSchema.safeParse(source.data)
    return result.success ? [] : issuesToErrors(result.error, source.data, schemas.ProfileFileSchema, source.at)
  } catch (error) {
    if (error instanceof QiError) return [error]
    throw error
  }
}

function profileText(fs: ReadFs, file: string, where: string): string {
  const text = readText(fs, file, MAX_PROFILE_BYTES + 1)
  if (text !== undefined && text.length <= MAX_PROFILE_BYTES) return text
  throw new QiError('QI_PROFILE_SYNTAX', `${where}: cannot be read, or is larger than 1 MiB`, { path: file })
}
