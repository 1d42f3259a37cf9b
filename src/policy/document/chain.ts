import { QiError } from '../../errors.js'
import { nearest } from '../issues.js'
import {
  DEFAULT_PROFILE,
  isShipped,
  type LoadedProfile,
  type LoadOptions,
  listProfiles,
  listServerProfiles,
  loadProfile
} from '../profiles.js'
import type { FoundPolicy } from './find.js'
import type { SandboxProfile } from './schema.js'

/** A profile as one policy file defines it. */
export interface Definition {
  name: string
  /** Position of the file among all; a profile extends only what its own file or one below it defines. */
  level: number
  profile: SandboxProfile
}

export interface Chain {
  builtIn: LoadedProfile
  /** Base first; levels never fall. */
  definitions: Definition[]
}

/** Profiles by name, over all policy files. */
export class ProfileChains {
  private readonly builtIns: Set<string>

  constructor(
    private readonly policies: FoundPolicy[],
    private readonly options: LoadOptions & { profile?: string | undefined }
  ) {
    const { fs, profilesDir } = options
    this.builtIns = new Set([...listProfiles(fs, profilesDir), ...listServerProfiles(fs, profilesDir)])
  }

  /** Is it defined by a file up to `level`, or built in? */
  has(name: string, level: number): boolean {
    return this.builtIns.has(name) || this.highest(name, level) >= 0
  }

  /**
   * What `name` means to a file at `level`: every definition of that name up to there, the later over the earlier, over what
   * the first of them extends.
   */
  of(name: string, level: number, on: string[] = []): Chain {
    const at = this.highest(name, level)
    if (at < 0) return { builtIn: this.builtInProfile(name, level), definitions: [] }
    const key = `${name}@${at}`
    if (on.includes(key)) throw this.cycle(name, at, [...on, key])
    const profile = this.definition(name, at) as SandboxProfile
    const below = this.has(name, at - 1)
    if (below && profile.extends !== undefined && profile.extends !== name)
      throw this.fault(
        name,
        at,
        'QI_PROFILE_CYCLE',
        `is there already without this file and cannot extend ${profile.extends}, too`,
        'give it another name, or leave extends out'
      )
    if (!below && profile.extends === name) throw this.cycle(name, at, [key, key])
    const base = below ? this.of(name, at - 1, on) : this.of(profile.extends ?? DEFAULT_PROFILE, at, [...on, key])
    return { ...base, definitions: [...base.definitions, { name, level: at, profile }] }
  }

  names(level: number): string[] {
    const defined = this.policies
      .slice(0, level + 1)
      .flatMap(({ document }) => Object.keys(document.policy.sandbox?.profiles ?? {}))
    return [...new Set([...this.builtIns, ...defined])].sort()
  }

  private definition(name: string, level: number): SandboxProfile | undefined {
    const profiles = this.policies[level]?.document.policy.sandbox?.profiles ?? {}
    return Object.hasOwn(profiles, name) ? profiles[name] : undefined
  }

  private highest(name: string, level: number): number {
    for (let at = Math.min(level, this.policies.length - 1); at >= 0; at--) if (this.definition(name, at)) return at
    return -1
  }

  /** A file is what --profile names; no document can name one, which would lie in whatever folder the command is started. */
  private builtInProfile(name: string, level: number): LoadedProfile {
    if (this.builtIns.has(name) || (!isShipped(name) && name === this.options.profile))
      return loadProfile(name, this.options)
    const near = nearest(name, this.names(level))
    const hint =
      near === undefined
        ? `use one of ${this.names(level).join(', ')}, or the path of a profile file`
        : `did you mean "${near}"?`
    throw new QiError('QI_PROFILE_UNKNOWN', `profile ${JSON.stringify(name)} does not exist`, {
      field: 'profile',
      value: name,
      hint
    })
  }

  private cycle(name: string, level: number, on: string[]): QiError {
    const way = on.map((key) => key.slice(0, key.lastIndexOf('@'))).join(' -> ')
    return this.fault(name, level, 'QI_PROFILE_CYCLE', `extends itself: ${way}`, 'remove one "extends"')
  }

  private fault(name: string, level: number, code: `QI_${string}`, message: string, hint: string): QiError {
    const { document } = this.policies[level] as FoundPolicy
    const path = ['sandbox', 'profiles', name]
    const value = this.definition(name, level)?.extends
    const field = `${path.join('.')}.extends`
    const where = document.source.at([...path, 'extends'])
    return new QiError(code, `${where}: ${field} = ${JSON.stringify(value)}: profile ${name} ${message}`, {
      field,
      value,
      hint
    })
  }
}
