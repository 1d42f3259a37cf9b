/**
 * A seccomp profile of a container engine, read as for a process without capabilities on this architecture and kernel
 * (docs/syscalls.md). It only ever narrows: the table is asked as well.
 */

import type { OciDocument } from './oci-schema.js'
import { FALLBACKS, NEEDED } from './refused.js'
import { SYSCALLS } from './syscalls.gen.js'
import type { Arch } from './types.js'

export type Operator = 'NE' | 'LT' | 'LE' | 'EQ' | 'GE' | 'GT' | 'MASKED_EQ'

/** One comparison over 64 bits, as libseccomp means it. Numbers as text, since a profile is printed as JSON. */
export interface OciCompare {
  arg: number
  op: Operator
  /** With MASKED_EQ the mask. */
  value: string
  /** With MASKED_EQ what is left under it. */
  masked: string
}

export type OciAction = { kind: 'allow' } | { kind: 'errno'; errno: number } | { kind: 'kill' }

export interface OciRule {
  name: string
  action: OciAction
  /** All must hold; empty: always. */
  args: OciCompare[]
}

export interface OciProfile {
  /** For events: who named the file, and the file. */
  origin: string
  fallback: OciAction
  /** Of several that match the strictest counts: kill, then errno, then allow. */
  rules: OciRule[]
}

const EPERM = 1
const ARCHES: Record<Arch, { scmp: string; go: string }> = {
  x64: { scmp: 'SCMP_ARCH_X86_64', go: 'amd64' },
  arm64: { scmp: 'SCMP_ARCH_AARCH64', go: 'arm64' }
}

/** The profile that a document comes to, or what of it (`path`) cannot be had here. */
export function readOci(
  document: OciDocument,
  arch: Arch,
  kernel: string
): Omit<OciProfile, 'origin'> | { path: (string | number)[]; reason: string; hint: string } {
  const wrong = wrongArchitecture(document, arch)
  if (wrong) return wrong
  const wide = tooMany(document)
  if (wide) return wide
  const rules = (document.syscalls ?? []).flatMap((rule) => {
    if (!applies(rule, arch, kernel)) return []
    const names = rule.name ? [rule.name] : (rule.names ?? [])
    const action = actionOf(rule.action, rule.errnoRet ?? rule.errno)
    return names.flatMap((name) => alternatives(rule.args).map((args) => ({ name, action, args })))
  })
  return {
    fallback: actionOf(document.defaultAction, document.defaultErrnoRet ?? document.defaultErrno),
    // Names of other architectures: there is no such call here.
    rules: rules.filter(({ name }) => Object.hasOwn(SYSCALLS, name) && SYSCALLS[name]?.[arch] !== undefined)
  }
}

const OTHER = 'take a profile for this architecture'
const MAX_RULES = 1 << 16

/** Each name with each comparison of an argument that has several: a small file can come to millions. */
function tooMany({ syscalls }: OciDocument) {
  let count = 0
  for (const [i, { names, args }] of (syscalls ?? []).entries()) {
    count += Math.max(1, names?.length ?? 0) * Math.max(1, args?.length ?? 0)
    if (count > MAX_RULES)
      return { path: ['syscalls', i], reason: `comes to more than ${MAX_RULES} rules`, hint: 'take rules out' }
  }
  return undefined
}

function wrongArchitecture({ architectures, archMap }: OciDocument, arch: Arch) {
  const { scmp } = ARCHES[arch]
  const named = archMap?.length ? archMap.map(({ architecture }) => architecture) : (architectures ?? [])
  if (named.length === 0 || named.includes(scmp)) return undefined
  return {
    path: [archMap?.length ? 'archMap' : 'architectures'],
    reason: `is not for this machine, ${scmp}`,
    hint: OTHER
  }
}

const actionOf = (kind: OciAction['kind'], errno: number | null | undefined): OciAction =>
  kind === 'errno' ? { kind, errno: errno ?? EPERM } : { kind }

type Filter = NonNullable<NonNullable<OciDocument['syscalls']>[number]['includes']>

/** A jail's process has no capability: what is for those that have one is not for it. */
function applies(
  { includes, excludes }: { includes?: Filter | null | undefined; excludes?: Filter | null | undefined },
  arch: Arch,
  kernel: string
): boolean {
  const { go } = ARCHES[arch]
  if (includes?.caps?.length) return false
  if (includes?.arches?.length && !includes.arches.includes(go)) return false
  if (includes?.minKernel && !isAtLeast(kernel, includes.minKernel)) return false
  if (excludes?.arches?.includes(go)) return false
  return !(excludes?.minKernel && isAtLeast(kernel, excludes.minKernel))
}

function isAtLeast(kernel: string, wanted: string): boolean {
  const [major = 0, minor = 0] = kernel.split(/[^\d]/).map(Number)
  const [atMajor = 0, atMinor = 0] = wanted.split('.').map(Number)
  return major > atMajor || (major === atMajor && minor >= atMinor)
}

type Args = NonNullable<OciDocument['syscalls']>[number]['args']

/** libseccomp takes one comparison of an argument in a rule; container engines make a rule each of several. */
function alternatives(args: Args): OciCompare[][] {
  const compares = (args ?? []).map(
    ({ index, op, value, valueTwo = 0n }): OciCompare => ({
      arg: index,
      op: op.slice('SCMP_CMP_'.length) as Operator,
      value: `0x${value.toString(16)}`,
      masked: `0x${valueTwo.toString(16)}`
    })
  )
  const isTwice = new Set(compares.map(({ arg }) => arg)).size < compares.length
  return isTwice ? compares.map((compare) => [compare]) : [compares]
}

/** A call of the launch itself that the profile does not let pass whatever its arguments. */
export function lacking(profile: Omit<OciProfile, 'origin'>, arch: Arch): string | undefined {
  return [...NEEDED].find((name) => {
    const rules = profile.rules.filter((rule) => rule.name === name)
    const refused = rules.some(({ action }) => action.kind !== 'allow')
    const allowed = rules.some(({ args }) => args.length === 0) || profile.fallback.kind === 'allow'
    return SYSCALLS[name]?.[arch] !== undefined && (refused || !allowed)
  })
}

/**
 * Calls that `syscalls.allow` names pass: the profile does not narrow them. Those that the table answers with ENOSYS keep
 * that answer, unrecorded: every new thread tries clone3 first.
 */
export function lifted<T extends Omit<OciProfile, 'origin'>>(profile: T, allow: readonly string[]): T {
  const names = new Set([...allow, ...FALLBACKS])
  const rest = profile.rules.filter(({ name }) => !names.has(name))
  const passing = [...names].map((name): OciRule => ({ name, action: { kind: 'allow' }, args: [] }))
  return { ...profile, rules: [...rest, ...passing] }
}
