/** Allowed or refused, by which rule, and the smallest change that flips it: found by making it and asking again. */
import { QiError } from '../errors.js'
import type { HostFacts } from '../host/facts.js'
import { hostAndPort } from '../launch/ask.js'
import type { NativeAddon } from '../launch/native.js'
import { parseHost } from '../network/host.js'
import type { SandboxConfig } from '../policy/config.js'
import { dirname, join, type ReadFs, walk } from '../profile/fs.js'
import { createHost, expand } from '../profile/host.js'
import type { Profile } from '../profile/types.js'
import { judgeHost, type OneHost } from './host.js'
import { type Access, canonical, judgePath } from './path.js'
import type { Refused } from './recorded.js'

export type { Access }

import { isSyscall, judgeSyscall } from './syscalls.js'
import type { Verdict } from './types.js'
import { shellWord } from './words.js'

export type Question =
  | { kind: 'path'; written: string; path: string; access: Access }
  | { kind: 'host'; written: string; host: OneHost }
  | { kind: 'syscall'; written: string }

export interface Change {
  /** On the command line; null where only a policy file says it. */
  flag: string | null
  /** In a policy file. */
  yaml: string
}

export interface Answer extends Verdict {
  question: { kind: Question['kind']; of: string; access?: Access }
  /** The smallest that flips a refusal; null where there is none, or none is needed. */
  change: Change | null
  /** With `enforcement: permissive` the rest is the verdict of strict, and this what comes of it instead. */
  permissive?: 'let through' | 'refused' | 'depends'
}

export interface Asked {
  /** Resolves once more, with what is given laid over the configuration. */
  resolve: (more: SandboxConfig) => Profile
  facts: HostFacts
  fs: ReadFs
  cwd: string
  home: string
  judge: NativeAddon['judgeHost']
}

/** What was meant: something with a slash, or that lies here, is a path; the name of a call is that call; the rest a host. */
export function readQuestion(written: string, access: Access | undefined, { fs, cwd, home }: Asked): Question {
  const looksLikePath = written.includes('/') && !/^[[\w.:*-]+\/\d+/.test(written) && !TRANSPORT.test(written)
  const isPath = looksLikePath || /^[~.$]/.test(written) || access !== undefined || written === ''
  if (!isPath && isSyscall(written)) return { kind: 'syscall', written }
  if (isPath || fs.lstat(join(cwd, written))) {
    const host = createHost({ fs, writtenHome: home, callerCwd: cwd, env: {} })
    return { kind: 'path', written, path: canonical(fs, expand(host, written).path), access: access ?? 'read' }
  }
  return { kind: 'host', written, host: oneHost(written) }
}

/** As an event names it; never guessed anew. @throws QiError QI_USAGE */
export function recordedQuestion({ kind, what: written, access }: Refused): Question {
  if (kind === 'path') return { kind, written, path: written, access: access ?? 'read' }
  return kind === 'syscall' ? { kind, written } : { kind, written, host: oneHost(written) }
}

/** Which of the two a port is of; a path would begin with `./`. */
const TRANSPORT = /^([^/]+:\d+)\/(tcp|udp)$/

function oneHost(written: string): OneHost {
  const [, target = written, transport] = TRANSPORT.exec(written) ?? []
  const read = parseHost(target)
  const fault = (reason: string, hint: string) =>
    new QiError('QI_USAGE', `${JSON.stringify(written)} ${reason}`, { field: 'why', value: written, hint })
  if ('reason' in read) throw fault(`is no path, no system call, and as a host it ${read.reason}`, read.hint)
  const { pattern, port } = read.value
  if (pattern.kind === 'below' || pattern.kind === 'any' || (pattern.kind === 'net' && !isSingle(pattern)))
    throw fault('is many hosts', 'ask about one of them')
  return { pattern, ...(port === undefined ? {} : { port }), ...(transport === 'udp' ? { transport } : {}) }
}

const isSingle = ({ address, prefix }: { address: string; prefix: number }): boolean =>
  prefix === (address.includes(':') ? 128 : 32)

export function judge(question: Question, profile: Profile, { facts, fs, judge: judgeNative }: Asked): Verdict {
  if (question.kind === 'path') return judgePath(profile, question.path, question.access, walk(fs, question.path).kind)
  if (question.kind === 'host') return judgeHost(profile, question.host, judgeNative)
  return judgeSyscall(profile, facts, question.written)
}

export function why(question: Question, asked: Asked): Answer {
  const profile = asked.resolve({})
  if (profile.enforcement === 'strict') return answer(question, profile, asked)
  const strict = { ...asked, resolve: (more: SandboxConfig) => asked.resolve({ ...more, enforcement: 'strict' }) }
  const told = answer(question, strict.resolve({}), strict)
  if (told.state === 'allowed') return told
  const { state } = judge(question, profile, asked)
  return { ...told, permissive: state === 'allowed' ? 'let through' : state }
}

function answer(question: Question, profile: Profile, asked: Asked): Answer {
  const verdict = judge(question, profile, asked)
  const of = question.kind === 'path' ? question.path : question.written
  const told = { kind: question.kind, of, ...(question.kind === 'path' ? { access: question.access } : {}) }
  if (verdict.state !== 'refused' || verdict.fixed !== undefined) return { question: told, ...verdict, change: null }
  return { question: told, ...verdict, ...flip(question, verdict, profile, asked) }
}

type Candidate = Change & { config?: SandboxConfig; without?: string }

/** The first change after which the same question is answered otherwise; or why the last one tried is not to be had. */
function flip(question: Question, verdict: Verdict, profile: Profile, asked: Asked): Pick<Answer, 'change' | 'fixed'> {
  let reason = 'no key of a policy allows it'
  for (const { flag, yaml, config, without } of candidates(question, verdict, asked.fs)) {
    try {
      const changed = without === undefined ? asked.resolve(config ?? {}) : lifted(profile, without)
      if (judge(question, changed, asked).state === 'allowed') return { change: { flag, yaml } }
    } catch (error) {
      if (!(error instanceof QiError)) throw error
      reason = `${error.code}: ${error.message}`
    }
  }
  return { change: null, fixed: reason }
}

/** As if the rule of that origin had not been written. */
function lifted(profile: Profile, origin: string): Profile {
  const { network, syscalls, mediation } = profile
  const patterns = mediation?.patterns.filter((pattern) => pattern.origin !== origin)
  const hosts = network.rules?.hosts.filter((rule) => rule.origin !== origin)
  return {
    ...profile,
    denies: profile.denies.filter((deny) => deny.origin !== origin),
    syscalls: { ...syscalls, deny: syscalls.deny.filter((deny) => deny.origin !== origin) },
    ...(mediation && patterns ? { mediation: { ...mediation, patterns } } : {}),
    network: network.rules && hosts ? { ...network, rules: { ...network.rules, hosts } } : network
  }
}

function candidates(question: Question, verdict: Verdict, fs: ReadFs): Candidate[] {
  if (question.kind === 'path') return pathCandidates(question, verdict, fs)
  if (question.kind === 'host') return hostCandidates(question.host, verdict)
  return syscallCandidates(question.written, verdict)
}

/** `--deny` alone would not say which. */
const removal = (origin: string, what: string): Candidate => ({
  flag: null,
  yaml: `# remove ${origin} ${what}`,
  without: origin
})

function pathCandidates({ path, access }: Question & { kind: 'path' }, { origin }: Verdict, fs: ReadFs): Candidate[] {
  const protectedName = /^mandatory: (?:~\/)?(\S+)$/.exec(origin)?.[1]
  if (protectedName) {
    const yaml = `filesystem: { allowProtected: [${quoted(protectedName)}] }`
    return [{ flag: null, yaml, config: { filesystem: { allowProtected: [protectedName] } } }]
  }
  if (walk(fs, path).kind === 'socket') {
    const yaml = `network: { allowUnixSockets: [${quoted(path)}] }`
    const config = { network: { allowUnixSockets: [path] } }
    return [{ flag: `--allow-unix-socket ${shellWord(path)}`, yaml, config }]
  }
  const isDeny = /deniedPaths/.test(origin)
  if (origin === 'filesystem.mediate') return []
  const [flag, key] = access === 'write' ? ['--rw', 'allowedPaths'] : ['--ro', 'readOnlyPaths']
  // What is not there yet is granted by the folder that it will be in.
  const places = walk(fs, path).kind === 'missing' ? [existing(fs, path)] : [path]
  const grants = places.map((place) => ({
    flag: `${flag} ${shellWord(place)}`,
    yaml: `filesystem: { ${key}: [${quoted(place)}] }`,
    config: { filesystem: { [key as string]: [place] } }
  }))
  return isDeny ? [removal(origin, `for ${path}`), ...grants] : grants
}

function existing(fs: ReadFs, path: string): string {
  let at = path
  while (at !== '/' && walk(fs, at).kind === 'missing') at = dirname(at)
  return at
}

function hostCandidates({ pattern, port, transport }: OneHost, { origin }: Verdict): Candidate[] {
  if (pattern.kind === 'loopback') {
    if (port === undefined || transport === 'udp') return []
    const yaml = `network: { allowLoopback: [${port}] }`
    return [{ flag: `--allow-loopback ${port}`, yaml, config: { network: { allowLoopback: [port] } } }]
  }
  const name = pattern.kind === 'name' ? pattern.name : pattern.address
  const host = port === undefined ? name : hostAndPort(name, port)
  const [flag, key] = transport === 'udp' ? ['--udp', 'udp'] : ['--net', 'allowedHosts']
  const yaml = `network: { ${key}: [${quoted(host)}] }`
  const allow = { flag: `${flag} ${shellWord(host)}`, yaml, config: { network: { [key as string]: [host] } } }
  return /deniedHosts/.test(origin) ? [removal(origin, `for ${host}`)] : [allow]
}

/** Of a call that no policy may allow, the error of trying says why. */
function syscallCandidates(name: string, { origin }: Verdict): Candidate[] {
  const yaml = `syscalls: { allow: [${name}] }`
  const allow = { flag: null, yaml, config: { syscalls: { allow: [name] } } }
  return /syscalls\.deny/.test(origin) ? [removal(origin, `for ${name}`)] : [allow]
}

const quoted = (text: string): string => JSON.stringify(text)
