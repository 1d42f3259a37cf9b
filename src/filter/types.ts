/** seccomp filters as data. Compiled by libseccomp in the addon, checked by the evaluator in test/filter. */

export type Arch = 'x64' | 'arm64'

/**
 * One comparison of a syscall argument: `(arg & mask) == value` over 64 bits. For an `int` argument the mask stays within
 * the low 32 bits, since the kernel ignores the rest.
 */
export interface ArgMatch {
  arg: number
  mask: bigint
  value: bigint
}

export type FilterAction = { kind: 'allow' } | { kind: 'errno'; errno: number } | { kind: 'notify' } | { kind: 'kill' }

export interface FilterRule {
  number: number
  action: FilterAction
  /** All must hold. Empty = whatever the arguments. Never two on one argument (libseccomp refuses them). */
  args: ArgMatch[]
}

/** What the addon compiles: foreign architectures and x32 are always `kill`. */
export interface FilterSpec {
  arch: Arch
  /** For every syscall that no rule matches. */
  fallback: FilterAction
  rules: FilterRule[]
}
