import { basename } from 'node:path'
import { applyEdits, type Edit } from 'jsonc-parser'
import { QiError } from '../errors.js'
import { isShipped, loadProfile } from '../policy/profiles.js'
import { type Hunk, hunks } from './diff.js'
import { argsOf, commandOf, type Entry, type Parts, readEntries, unreadable } from './document.js'
import { profileEdits, unwrapEdits, wrapEdits } from './edit.js'
import { backupOf, type Content, readConfig, replaceConfig } from './file.js'
import { recognise } from './known.js'
import { launcherFor, steering, type Wrapped, wrappedForm } from './launcher.js'
import type { Place, Surroundings } from './places.js'
import { maskWords } from './secrets.js'

export { CLIENTS, isClient, type Place, placeOfFile, placesOf, type Surroundings } from './places.js'

export type State = 'wrapped' | 'plain' | 'remote' | 'container' | 'unclear'

/** What is known of one server without starting anything. */
export interface ServerInfo {
  client: string
  file: string
  project?: string
  server: string
  state: State
  /** The profile it has or, unwrapped, would get. */
  profile?: string
  /** Whether that profile loads. */
  loads?: boolean
  command?: string[]
  /** What keeps it from being what it seems or from being wrapped. */
  notes: string[]
}

export interface Change extends ServerInfo {
  outcome: 'wrapped' | 'unwrapped' | 'profile changed' | 'unchanged' | 'left alone'
}

export interface FileChange {
  file: string
  changes: Change[]
  hunks: Hunk[]
  /** Where the file as it was before is kept. */
  backup?: string
}

interface Opened {
  place: Place
  content: Content
  entries: Entry[]
}

const open = (place: Place): Opened[] => {
  const content = readConfig(place.file)
  return content ? [{ place, content, entries: readEntries(content.text, place) }] : []
}

export const inspectPlaces = (places: Place[], around: Surroundings): ServerInfo[] =>
  places.flatMap(open).flatMap(({ place, entries }) => entries.map((entry) => infoOf(place, entry, around)))

function infoOf(place: Place, entry: Entry, around: Surroundings, wanted?: string): ServerInfo {
  const { name: server, project, kind, reason, parts } = entry
  const info = { client: place.client, file: place.file, ...(project === undefined ? {} : { project }), server }
  if (kind !== 'stdio' || !parts) {
    return { ...info, state: kind === 'remote' ? 'remote' : 'unclear', notes: reason ? [reason] : [] }
  }
  const command = maskWords([commandOf(parts), ...argsOf(parts)])
  const form = wrappedForm(parts)
  if (form) {
    const profile = form.profile ?? 'strict'
    return {
      ...info,
      state: 'wrapped',
      ...loading(profile, around),
      command,
      notes: notesOfWrapped(parts, form)
    }
  }
  const known = recognise(parts)
  if ('engine' in known) {
    return {
      ...info,
      state: 'container',
      command,
      notes: [`${known.engine} starts it outside of any jail of its client`]
    }
  }
  const steered = steering(parts.env, false)
  const notes = [...(steered === undefined ? [] : [steeredNote(steered)]), ...fileNotes(parts)]
  return { ...info, state: 'plain', ...loading(wanted ?? known.profile, around), command, notes }
}

function loading(profile: string, { cwd }: Surroundings): { profile: string; loads: boolean } {
  try {
    loadProfile(profile, { cwd })
    return { profile, loads: true }
  } catch (error) {
    if (!(error instanceof QiError)) throw error
    return { profile, loads: false }
  }
}

const steeredNote = (name: string): string =>
  `its variable ${name} would act on qi-jail itself, outside the jail: take it out of env, and give it after wrapping as --env ${name}=…`

function notesOfWrapped(parts: Parts, { foreign, env, given }: Wrapped): string[] {
  const missing = parts.env.filter((name) => !env.some((given) => given === name || given.startsWith(`${name}=`)))
  const command = commandOf(parts)
  const steered = steering(parts.env, !command.includes('/') || basename(command) === 'qi-jail')
  return [
    ...(foreign === undefined ? [] : [`not by this qi-jail, but by ${foreign}`]),
    ...(steered === undefined ? [] : [steeredNote(steered)]),
    ...(given.length ? [`given besides: ${given.join(', ')}`] : []),
    ...(missing.length ? [`not passed on: ${missing.join(', ')}`] : []),
    ...fileNotes(parts)
  ]
}

const fileNotes = ({ hasEnvFile }: Parts): string[] =>
  hasEnvFile ? ['what its envFile sets is passed on only with --env NAME'] : []

export interface WrapRequest {
  verb: 'wrap' | 'unwrap'
  /** All of the file without it. */
  server?: string
  profile?: string
}

/** What would be changed where; `write` does it. */
export interface Planned extends FileChange {
  write: () => void
}

/** Every file is read and every edit made before the first is written. */
export function plan(places: Place[], request: WrapRequest, around: Surroundings): Planned[] {
  const opened = places.flatMap(open)
  refuseUnknown(places, opened, request)
  if (request.profile !== undefined) loadProfile(request.profile, { cwd: around.cwd })
  return opened.map((one) => planFile(one, request, around))
}

function refuseUnknown(places: Place[], opened: Opened[], { server }: WrapRequest): void {
  const looked = places.map(({ file }) => file).join(', ')
  if (opened.length === 0) {
    throw new QiError('QI_CLIENT', `no configuration of that client: ${looked}`, {
      field: '--client',
      hint: 'start in the project it is for, or name the file: --client FILE'
    })
  }
  if (server === undefined || opened.some(({ entries }) => entries.some(({ name }) => name === server))) return
  const names = [...new Set(opened.flatMap(({ entries }) => entries.map(({ name }) => name)))].slice(0, 20)
  throw new QiError('QI_CLIENT', `no server ${JSON.stringify(server)} in ${looked}`, {
    field: '--server',
    value: server,
    hint: names.length ? `there are ${names.map((name) => JSON.stringify(name)).join(', ')}` : 'there are none'
  })
}

function planFile({ place, content, entries }: Opened, request: WrapRequest, around: Surroundings): Planned {
  const chosen = entries.filter(({ name }) => request.server === undefined || name === request.server)
  const made = chosen.map((entry) => {
    const info = infoOf(place, entry, around, request.profile)
    const { edits, ...rest } =
      request.verb === 'wrap' ? wrapOne(place, content, entry, info, request, around) : unwrapOne(content, entry, info)
    return { edits, change: { ...info, ...rest } }
  })
  const edits = made.flatMap((one) => one.edits)
  const text = applyEdits(content.text, edits)
  if (edits.length) verify(text, place, entries.length)
  const secrets = entries.flatMap((entry) => entry.secrets)
  const backup = edits.length ? backupOf(content.real, around) : undefined
  return {
    file: place.file,
    changes: made.map(({ change }) => change),
    hunks: hunks(content.text, edits, secrets),
    ...(backup === undefined ? {} : { backup }),
    write: () => backup !== undefined && replaceConfig(content, text, backup)
  }
}

type Outcome = { outcome: Change['outcome']; edits: Edit[]; profile?: string; notes?: string[] }

function wrapOne(
  place: Place,
  { text }: Content,
  { parts }: Entry,
  info: ServerInfo,
  { profile: wanted }: WrapRequest,
  around: Surroundings
): Outcome {
  const form = parts && wrappedForm(parts)
  if (parts && form) {
    if (form.foreign !== undefined) return { outcome: 'left alone', edits: [] }
    const profile = wanted === undefined ? undefined : written(wanted, around)
    const edits = profile === undefined || profile === info.profile ? [] : profileEdits(parts, form, profile)
    return edits.length && profile
      ? { outcome: 'profile changed', edits, profile }
      : { outcome: 'unchanged', edits: [] }
  }
  if (!parts || info.state !== 'plain' || steering(parts.env, false) !== undefined)
    return { outcome: 'left alone', edits: [] }
  const { byPath, full } = launcherFor(place, around.env)
  const launcher = byPath && steering(parts.env, true) === undefined ? byPath : full
  const profile = written(info.profile as string, around)
  const known = recognise(parts)
  const grants = 'grants' in known ? known.grants : []
  const own = [...['--profile', profile], ...grants, ...parts.env.flatMap((name) => ['--env', name])]
  const pairs = grants.flatMap((flag, i) => (i % 2 === 0 ? [`${flag} ${grants[i + 1]}`] : []))
  const notes = [...info.notes, ...(pairs.length ? [`given besides: ${pairs.join(', ')}`] : [])]
  return { outcome: 'wrapped', profile, notes, edits: wrapEdits(text, parts, launcher, own) }
}

function unwrapOne({ text }: Content, { parts }: Entry, info: ServerInfo): Outcome {
  const form = parts && wrappedForm(parts)
  if (!parts || !form) return { outcome: info.state === 'plain' ? 'unchanged' : 'left alone', edits: [] }
  return { outcome: 'unwrapped', edits: unwrapEdits(text, parts, form) }
}

/** A profile file by its full path: who knows where the client starts. */
function written(profile: string, { cwd }: Surroundings): string {
  const { files } = loadProfile(profile, { cwd })
  return isShipped(profile) ? profile : (files[0] as string)
}

/** What we would write must still be what we read, but for what was changed. */
function verify(text: string, place: Place, count: number): void {
  if (readEntries(text, place).length !== count) throw unreadable(place.file, text, 0, 'the edit would not be readable')
}
