import type { Finding } from '../plan/protections.js'
import type { LoadedPolicy } from '../policy/document/load.js'
import type { Deny, Grant, JailSymlink, Profile, ProtectionName, UnixSocket } from '../profile/types.js'

export const BUILT_IN = 'built-in'

/** Who is behind a rule: a policy file or flag, the command that needs it, every jail, or what no policy decides. */
export type Why = 'policy' | 'command' | 'default' | 'mandatory'

export type Told<T> = T & { why: Why }

/** One value of the policy, and where it was said; `built-in` where nobody did. */
export interface ToldValue {
  name: string
  value: unknown
  origin: string
}

export interface ToldRule {
  rule: string
  origin: string
}

/** Of the syscall table: a group of calls with one answer. */
export interface ToldCalls {
  group: string
  reason: string
  /** Pass in the filter, whatever their arguments. */
  allowed: string[]
  /** Pass in some cases only, or where qi-monitor says so. */
  judged: string[]
  refused: string[]
  /** errno of what is refused, by name; `killed` for none. */
  answer: string
}

/** Everything that a profile comes to, each rule with its origin. The JSON of `qi-jail explain` (docs/explain.md). */
export interface Explanation {
  profile: { name: string; purpose: string }
  /** null: of the profile alone. */
  command: Profile['command'] | null
  identity: Profile['identity']
  hostname: string
  tempDirectory: string
  grants: Told<Grant>[]
  /** Sockets of the host that may be connected to. */
  unixSockets: UnixSocket[]
  symlinks: JailSymlink[]
  files: { path: string; origin: string }[]
  denies: Told<Deny>[]
  /** Names that are denied by pattern, and where; null without `filesystem.mediate`. */
  mediation: { patterns: { pattern: string; origin: string }[]; folders: string[]; executables: string[] } | null
  network: {
    mode: Profile['network']['mode']
    innerLoopback: boolean
    rules: ToldRule[]
    maxConnections: number | null
    onDenied: string | null
    askMs: number | null
    resolver?: Profile['network']['resolver']
  }
  devices: Profile['devices']
  /** Names only: values may be secrets. */
  env: { name: string; origin: string }[]
  limits: ToldValue[]
  syscalls: ToldCalls[]
  tolerate: ProtectionName[]
  audit: string | null
  /** How it is enforced and observed, and each imported profile of system calls. */
  settings: ToldValue[]
  /** Each layer of the jail on this host. */
  protections: Finding[]
  /** Those that were read, in their order. */
  policyFiles: LoadedPolicy['files']
  /** What a policy file says and the jail does not enforce. */
  notes: { text: string; origin: string }[]
}

export interface Verdict {
  /** `depends`: on the arguments or on what is named by them. */
  state: 'allowed' | 'refused' | 'depends'
  /** One sentence: which rule, and what it says. */
  reason: string
  origin: string
  /** By name, what the payload gets. */
  errno?: string
  /** Why nothing can change it. */
  fixed?: string
}
