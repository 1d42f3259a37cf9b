import { covering } from '../cache/folder.js'
import { encodeLooks, ObservedFs } from '../cache/observe.js'
import { QiError } from '../errors.js'
import { auditHead } from '../event/head.js'
import type { FilterSpec } from '../filter/types.js'
import type { HostFacts } from '../host/facts.js'
import { buildPlan, encodePlan, type ForegroundPlan, LAYOUT, type Plan } from '../plan/index.js'
import { PlanFlag } from '../plan/layout.gen.js'
import { nodeFs, type Profile, type Protection, type ResolveRequest, resolve } from '../profile/index.js'
import { TEMP_PLACEHOLDER } from '../profile/tier.js'
import { addonError } from './failure.js'
import { loadAddon } from './locate.js'
import { randomBytes, randomUint16, randomUuid } from './random.js'

/** What differs between two launches of the same request. */
export interface Template {
  bytes: Uint8Array
  sessionAt: number
  /** Where the name of the private temporary folder is completed, without namespaces. */
  tempAt: number[]
  /** A host uid of its own for each jail (root launches); undefined when the request fixes it. */
  firstUid?: number
}

/** What a request came to. The same object as long as nothing that it depends on has changed. */
export interface Prepared {
  readonly profile: Profile
  readonly protections: Protection[]
  readonly facts: HostFacts
  readonly template: Template
  /** The plan of one launch. `held`: it stops before the payload's exec. */
  readonly plan: (held?: boolean) => Uint8Array
  /** Whether an equal request would come to the same now; absent where that cannot be told. */
  readonly holds?: () => boolean
}

export interface PrepareOptions {
  correlationId?: string
  traceSteps?: boolean
  /** Bytes that are not UTF-8: arguments by index, values of variables by name. */
  rawArgv?: ReadonlyMap<number, Uint8Array>
  rawEnv?: ReadonlyMap<string, Uint8Array>
  /** Without a host: qi-monitor is to take our place. */
  foreground?: ForegroundPlan
  /** Of which each launch draws its host id, where it does (prepareProfile). */
  firstUid?: number
}

interface Built {
  template: Template
  protections: Protection[]
}

const KEPT = 64
const entries = new Map<string, Prepared>()
const SESSION_PLACEHOLDER = '00000000-0000-4000-8000-000000000000'

/**
 * Resolves and builds, or reuses what an equal request came to before. Resolving is a function of the request and of what
 * it reads from the host: as long as everything it looked at is unchanged (src/cache/observe.ts), so is its result.
 */
export function prepareRequest(request: ResolveRequest, facts: HostFacts, options: PrepareOptions): Prepared {
  if (options.rawArgv || options.rawEnv) return make(request, facts, options)
  const key = JSON.stringify([
    request.config,
    request.argv,
    request.env,
    request.cwd,
    request.home,
    request.askMs,
    request.policyFiles,
    request.server,
    facts.cgroup, // of all facts the one that changes while this process lives
    options
  ])
  const known = entries.get(key)
  const prepared = known?.holds?.() ? known : make(request, facts, options)
  entries.delete(key)
  if (prepared.holds) entries.set(key, prepared)
  for (const oldest of entries.keys()) {
    if (entries.size <= KEPT) break
    entries.delete(oldest)
  }
  return prepared
}

function make(request: ResolveRequest, facts: HostFacts, options: PrepareOptions): Prepared {
  const { cgroup } = facts
  const fs = new ObservedFs(request.fs ?? nodeFs)
  let drawn = false
  const random = () => {
    drawn = true
    return 0
  }
  const profile = covering(() => resolve({ ...request, fs, random }, facts), request)
  const built = encodeProfile(profile, facts, options)
  if (drawn) built.template.firstUid = profile.identity.uidOutside
  // What permissive hides depends on the mounts of the host, which tell of no change.
  const seen = profile.enforcement === 'permissive' ? undefined : encodeLooks(fs.settled())
  const holds = seen && (() => loadAddon().areAsBefore(seen) && facts.cgroup === cgroup)
  return { ...finished(profile, facts, built), ...(holds ? { holds } : {}) }
}

function compile(spec: FilterSpec): Uint8Array {
  try {
    return loadAddon().compileFilter(spec)
  } catch (cause) {
    if (cause instanceof QiError) throw cause
    throw addonError('QI_FILTER', 'the system call filter cannot be compiled', cause)
  }
}

/** As `prepare`, of a profile that is resolved already. */
export function prepareProfile(profile: Profile, facts: HostFacts, options: PrepareOptions): Prepared {
  return finished(profile, facts, encodeProfile(profile, facts, options))
}

const finished = (profile: Profile, facts: HostFacts, { template, protections }: Built): Prepared => ({
  profile,
  protections,
  facts,
  template,
  plan: (held = false) => fill(template, held)
})

function encodeProfile(profile: Profile, facts: HostFacts, options: PrepareOptions): Built {
  const head = auditHead({ sessionId: SESSION_PLACEHOLDER, userId: profile.audit.userId, ...correlation(options) })
  const { plan, protections } = buildPlan(profile, facts, {
    compile,
    auditHead: head,
    control: options.foreground === undefined,
    ...(options.foreground ? { foreground: options.foreground } : {}),
    auditFile: profile.audit.file !== undefined,
    traceSteps: options.traceSteps ?? false
  })
  const bytes = encodePlan(withRawText(plan, options))
  const template: Template = {
    bytes,
    tempAt: profile.withoutNamespaces === undefined ? [] : placesOf(bytes, TEMP_PLACEHOLDER),
    sessionAt:
      Buffer.from(bytes.buffer, bytes.byteOffset).readUInt32LE(offsetOf('auditHead')) +
      head.indexOf(SESSION_PLACEHOLDER)
  }
  if (options.firstUid !== undefined) template.firstUid = options.firstUid
  return { template, protections }
}

/** Bytes in place of the texts that stand for them; not where resolving wrote another text. */
function withRawText(plan: Plan, { rawArgv, rawEnv }: PrepareOptions): Plan {
  if (!rawArgv && !rawEnv) return plan
  const stands = (text: string, raw: Uint8Array) => Buffer.from(raw).toString() === text
  // encodePlan takes bytes for any text; the type of a plan says string, which all but these are.
  const argv: (string | Uint8Array)[] = plan.argv.map((text, i) => {
    const raw = rawArgv?.get(i)
    return raw && stands(text, raw) ? raw : text
  })
  const envp: (string | Uint8Array)[] = plan.envp.map((text) => {
    const split = text.indexOf('=') + 1
    const raw = rawEnv?.get(text.slice(0, split - 1))
    return raw && stands(text.slice(split), raw) ? Buffer.concat([Buffer.from(text.slice(0, split)), raw]) : text
  })
  return { ...plan, argv: argv as string[], envp: envp as string[] }
}

const correlation = ({ correlationId }: PrepareOptions) => (correlationId ? { correlationId } : {})
const offsetOf = (name: string): number => LAYOUT.Plan?.fields.find((field) => field.name === name)?.offset ?? 0
const FLAGS_AT = offsetOf('flags')

function placesOf(bytes: Uint8Array, text: string): number[] {
  const [buffer, places] = [Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), [] as number[]]
  const name = `/qi-jail-${text}`
  for (let at = buffer.indexOf(name); at >= 0; at = buffer.indexOf(name, at + 1))
    places.push(at + name.length - text.length)
  return places
}

function fill({ bytes, sessionAt, tempAt, firstUid }: Template, held: boolean): Uint8Array {
  const copy = Buffer.from(bytes)
  if (held) copy.writeUInt32LE(copy.readUInt32LE(FLAGS_AT) | PlanFlag.Held, FLAGS_AT)
  copy.write(randomUuid(), sessionAt, 'latin1')
  const temp = randomBytes(TEMP_PLACEHOLDER.length / 2).toString('hex')
  for (const at of tempAt) copy.write(temp, at, 'latin1')
  if (firstUid !== undefined) {
    const uid = firstUid + randomUint16()
    for (const name of ['uidOutside', 'gidOutside']) copy.writeUInt32LE(uid, offsetOf(name))
  }
  return copy
}
