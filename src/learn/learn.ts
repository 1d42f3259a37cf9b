import { covering } from '../cache/folder.js'
import { QiError } from '../errors.js'
import type { AuditLog } from '../event/schema.js'
import * as schemas from '../event/schema.js'
import { FIXED } from '../filter/refused.js'
import { probeHost } from '../host/probe.js'
import type { JailExit } from '../launch/jail.js'
import { launchProfile } from '../launch/spawn.js'
import { isPublic } from '../network/address.js'
import type { SandboxConfig } from '../policy/index.js'
import { schemaLine } from '../policy/schema-line.js'
import { nodeFs } from '../profile/fs.js'
import { createHost } from '../profile/host.js'
import { resolve } from '../profile/resolve.js'
import type { Profile } from '../profile/types.js'
import { writeDocument } from './document.js'
import type { Recording } from './input.js'
import { merge, nothing, type Observed, observe } from './observe.js'
import { readExisting, replaceFile } from './policy-file.js'
import { type Entry, type Proposal, propose } from './propose.js'
import { recordInput, type Session, watch } from './session.js'

export interface LearnRequest {
  argv: string[]
  /** What is given from the start; its profile is what the learned one extends. */
  config: SandboxConfig
  env: Record<string, string | undefined>
  cwd: string
  home: string
  /** The policy file, absolute. */
  output: string
  /** Of the profile in it. */
  name: string
  /** Add to the file that is there. */
  merge: boolean
  /** End the command after so many milliseconds. */
  forMs?: number
  replay: boolean
}

export interface Learned {
  proposal: Proposal
  /** How the command ended while it was watched. */
  exit: JailExit
  /** What could not be learned from, or replayed, and why. */
  notes: string[]
  /** What the last replay was still refused; undefined without one. */
  remaining?: Proposal
  replays: number
}

/** A replay may get further than the first run did, and then be refused what that one never tried. */
const MAX_REPLAYS = 3

/**
 * Runs the command once with everything let through that is safe to be, writes the policy that it needs, and runs it again
 * under that policy, until it is refused nothing that may be given.
 * @throws QiError as a launch; QI_LEARN_EXISTS, QI_OUTPUT
 */
export async function learn(request: LearnRequest): Promise<Learned> {
  const existing = readExisting(request.output)
  if (existing !== undefined && !request.merge) throw exists(request.output)
  const first = await firstRun(request)
  const { observed } = first.session
  const save = (): Proposal => {
    const proposal = withGiven(proposeFor(request, first.profile, observed), request.config)
    replaceFile(request.output, writeDocument(proposal, documentOptions(request), existing))
    return proposal
  }
  let proposal = save()
  const notes = notesOn(first.session)
  const because = whyNoReplay(request, first.recording)
  if (because !== undefined || !first.recording) {
    return { proposal, exit: first.session.exit, notes: because ? [...notes, because] : notes, replays: 0 }
  }
  let remaining = proposal
  let replays = 0
  while (replays < MAX_REPLAYS) {
    const again = await replay(request, first.recording)
    replays += 1
    remaining = proposeFor(request, first.profile, { ...again.observed, peaks: {} })
    if (!merge(observed, again.observed)) break
    const before = JSON.stringify(proposal)
    proposal = save()
    if (JSON.stringify(proposal) === before) break
  }
  return { proposal, exit: first.session.exit, notes, remaining, replays }
}

const exists = (file: string): QiError =>
  new QiError('QI_LEARN_EXISTS', `--output = ${JSON.stringify(file)}: is there already`, {
    field: '--output',
    value: file,
    path: file,
    hint: 'add to it with --merge, or name another file'
  })

async function firstRun(request: LearnRequest): Promise<{ session: Session; profile: Profile; recording?: Recording }> {
  const config: SandboxConfig = {
    ...request.config,
    enforcement: 'permissive',
    audit: { ...request.config.audit, files: 'denied' }
  }
  const profile = resolveFor(request, config)
  // A terminal has to be the payload's own; anything else passes through our hands to be remembered.
  const stdin = process.stdin.isTTY ? 'inherit' : 'pipe'
  const jail = await launchProfile(profile, { stdio: [stdin, 'inherit', 'inherit'] })
  const recording = recordInput(jail)
  return { session: await watch(jail, request.forMs), profile, ...(recording ? { recording } : {}) }
}

async function replay(request: LearnRequest, recording: Recording): Promise<Session> {
  const config: SandboxConfig = { profile: request.name, enforcement: 'strict', audit: { files: 'denied' } }
  const jail = await launchProfile(resolveFor(request, config, request.output), { stdio: ['pipe', 'ignore', 'ignore'] })
  if (jail.stdin) void recording.play(jail.stdin)
  return watch(jail, request.forMs)
}

function resolveFor({ argv, env, cwd, home }: LearnRequest, config: SandboxConfig, policyFiles?: string): Profile {
  const request = { config, argv, env, cwd, home, ...(policyFiles === undefined ? {} : { policyFiles }) }
  return covering(() => resolve(request, probeHost()), request)
}

function proposeFor(request: LearnRequest, profile: Pick<Profile, 'tempDirectory'>, observed: Observed): Proposal {
  const { env, cwd, home } = request
  const host = createHost({ fs: nodeFs, writtenHome: home, callerCwd: cwd, env })
  const neverAllowed = (name: string) => FIXED.get(name)
  return propose(observed, {
    host,
    folder: cwd,
    tempDirectory: profile.tempDirectory,
    neverAllowed,
    isPublic
  })
}

/** What the flags gave was never refused, and is part of what the command needs all the same. */
function withGiven(proposal: Proposal, { filesystem = {}, network = {}, env }: SandboxConfig): Proposal {
  const add = (entries: Entry[], values: readonly unknown[] = []): Entry[] => {
    const texts = values.filter((value) => typeof value === 'string')
    const fresh = texts.filter((value) => !entries.some((entry) => entry.value === value))
    return [...fresh.map((value) => ({ value, because: 'given on the command line' })), ...entries]
  }
  return {
    ...proposal,
    readOnlyPaths: add(proposal.readOnlyPaths, filesystem.readOnlyPaths),
    allowedPaths: add(proposal.allowedPaths, filesystem.allowedPaths),
    deniedPaths: add(proposal.deniedPaths, filesystem.deniedPaths),
    allowedHosts: add(proposal.allowedHosts, network.allowedHosts),
    udp: add(proposal.udp, network.udp),
    env: add([], Array.isArray(env) ? env : Object.keys(env ?? {}))
  }
}

/**
 * What the refusals of an audit file ask for, as lines that the policy file would gain. `write`: it gains them.
 * @throws QiError QI_AUDIT_FILE for a line that is no event
 */
export function learnFrom(request: LearnRequest, audit: string, write: boolean): string {
  const observed = nothing()
  for (const [i, line] of audit.split('\n').entries()) {
    if (line.trim() !== '') observe(observed, eventIn(line, i + 1))
  }
  const existing = readExisting(request.output)
  const proposal = proposeFor(request, { tempDirectory: '/tmp' }, observed)
  const text = writeDocument(proposal, documentOptions(request), existing)
  if (write) replaceFile(request.output, text)
  return changes(existing ?? '', text)
}

function eventIn(line: string, number: number): AuditLog {
  try {
    const read = schemas.AuditLogSchema.safeParse(JSON.parse(line))
    if (read.success) return read.data
  } catch {
    // told below
  }
  throw new QiError('QI_AUDIT_FILE', `--from: line ${number} is no audit event: ${JSON.stringify(line.slice(0, 80))}`, {
    field: '--from',
    value: line.slice(0, 80),
    hint: 'name a file that --audit wrote, or remove the line'
  })
}

/** Nothing is ever taken out of a file, so the lines that are new say it all. */
function changes(before: string, after: string): string {
  const had = new Map<string, number>()
  for (const line of before.split('\n')) had.set(line, (had.get(line) ?? 0) + 1)
  const isNew = (line: string): boolean => {
    const left = had.get(line) ?? 0
    had.set(line, left - 1)
    return left <= 0
  }
  const lines = after.split('\n').map((line) => `${isNew(line) ? '+' : ' '} ${line}`.trimEnd())
  return `${lines.join('\n').trimEnd()}\n`
}

const documentOptions = ({ name, output, config: { profile = 'strict' }, argv }: LearnRequest) => ({
  name,
  extends: profile,
  head: [
    schemaLine(output),
    ` Learned from: ${argv
      .join(' ')
      .replace(/[^\x20-\x7e]/g, '?')
      .slice(0, 200)}`,
    ' Review it: a command may do more another time, and this is what it may do then.'
  ]
})

function notesOn({ exit, lost }: Session): string[] {
  return [
    ...(lost > 0 ? [`${lost} events were lost: what they told is not in the policy; run it again with --merge`] : []),
    ...(exit.terminationReason === 'monitor-lost'
      ? ['qi-monitor was killed: the policy has what was seen until then']
      : [])
  ]
}

function whyNoReplay({ replay: wanted }: LearnRequest, recording: Recording | undefined): string | undefined {
  if (!wanted) return undefined
  if (!recording) return 'not replayed: standard input is a terminal'
  return recording.overflowed ? 'not replayed: more came in on standard input than is kept' : undefined
}
