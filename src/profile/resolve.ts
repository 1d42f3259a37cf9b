import { QiError } from '../errors.js'
import type { HostFacts } from '../host/facts.js'
import { compileNetwork } from '../network/compile.js'
import { hostNames, hostResolver } from '../network/resolver.js'
import type { ParsedConfig, SandboxConfig } from '../policy/config.js'
import * as schemas from '../policy/config.js'
import { configFolder } from '../policy/document/find.js'
import { type LoadedPolicy, loadPolicy } from '../policy/document/load.js'
import { stateFolder } from '../policy/document/trust.js'
import { mergeLayers, networkLayers, type Policy } from '../policy/merge.js'
import * as ociFile from '../policy/oci-file.js'
import { plainConfig } from '../policy/plain.js'
import { type LoadedProfile, loadProfile, PACKAGE_DIR } from '../policy/profiles.js'
import { type Closure, systemFiles } from './closure/index.js'
import { checkArguments, findCommand } from './command.js'
import { cacheDenies, cacheFolder, controlDenies } from './control.js'
import { cwdError, refuseSteeredCwd, workingDirectory } from './cwd.js'
import { mandatoryDenies, readDenies } from './denies.js'
import { JailDisabled } from './disabled.js'
import { environment } from './environment.js'
import { isWithin, nodeFs, type ReadFs, snapshot, type Walk, walk } from './fs.js'
import { compact, type ExplicitGrants, grantOf, resolveGrants } from './grants.js'
import { createHost, expand, type Host } from './host.js'
import { identity } from './identity.js'
import { resolveLimits } from './limits.js'
import { mediation } from './mediation.js'
import { enterable, hostMasks, hostTree, outermost } from './permissive.js'
import { resolveSockets } from './sockets.js'
import { type Closed, close, maskable } from './spare.js'
import { hostTemp, tierReason, withoutNamespaces } from './tier.js'
import type { Grant, JailFile, JailSymlink, NamePattern, Note, Profile } from './types.js'

export interface ResolveRequest {
  config: SandboxConfig
  /** Empty, where `explaining`: of the policy alone. */
  argv: string[]
  /** The caller's. */
  env: Record<string, string | undefined>
  cwd: string
  home: string
  /** The host's file system, unless a test states another. */
  fs?: ReadFs
  /** Read the policy files (docs/policy.md); a text: that file, too. Default: no file but the profile decides anything. */
  policyFiles?: boolean | string
  /** What the MCP client calls this server: for `servers:` of the policy files. */
  server?: string
  /** @internal For tests: where the system's policy file lies. */
  systemPolicy?: string
  /** Already loaded instead of read from `config.profile`. */
  profile?: LoadedProfile
  /** Where qi-jail itself lies. */
  packageDir?: string
  /** 0 <= n < 65536; which host uid a root launch takes. */
  random?: () => number
  /** For who only tells what it comes to: `argv` may be empty, and then it cannot be launched. */
  explaining?: boolean
  /** For who keeps plans: `env` tells of every look at it, `caller` is the same without. */
  variables?: Variables
  /** The caller will be asked about hosts that no rule names, and has this many milliseconds to answer. */
  askMs?: number
}

/** @internal */
export interface Variables {
  caller: Record<string, string | undefined>
  handOn(name: string): void
  watch(env: Record<string, string | undefined>): Record<string, string | undefined>
}

const HOSTNAME = 'qi-jail'

/**
 * Policy -> Profile: decides everything, starts nothing, and changes nothing on the host.
 * @throws QiError for every input that cannot be granted as written.
 */
export function resolve(request: ResolveRequest, facts: HostFacts): Profile {
  const fs = snapshot(request.fs ?? nodeFs)
  const { loaded, policy } = readPolicy(request, fs, facts)
  const network = resolveNetwork(policy, loaded, fs, request.askMs)
  const who = identity(facts, policy.processIsolation, request.random)
  const host = makeHost(request, fs, policy)
  const enforcement = jailOf(policy, host)
  const limits = resolveLimits(policy, host)
  const why = tierReason(policy, facts)
  if (why !== undefined && enforcement === 'permissive') throw needsMounts(why)
  const temp = why === undefined ? placeTemp(policy, host) : { real: hostTemp(policy, fs), links: [] }
  const tempDirectory = temp.real
  const { caller = request.env, handOn, watch } = request.variables ?? {}
  const env = environment(caller, policy.env, host.home, tempDirectory, handOn)
  if (request.explaining !== true || request.argv.length > 0) checkArguments(request.argv, env)
  const argv = [...request.argv]
  const given = Object.fromEntries(env)
  host.env = watch ? watch(given) : given

  const syscalls = resolveSyscalls(policy, host, facts)
  const explicit = resolveGrants(policy, host)
  refuseSteeredCwd(policy, host, explicit)
  const unix = resolveSockets(policy.network.unixSockets, host, explicit, { env: request.env, uid: facts.uid })
  const file = argv.length === 0 ? '/' : findCommand(fs, argv[0] as string, host.cwd, host.env.PATH).file
  const closed = close(host, explicit, { file, args: argv.length === 0 ? undefined : argv.slice(1), arch: facts.arch })
  const { closure } = closed

  const started = closure.instead?.file ?? file
  if (argv.length > 0) refuseDeniedCommand(explicit, closure, walk(fs, started).real)
  const ownFiles = systemFiles(closure, who, HOSTNAME, network)
  const strict = combine(explicit, closure, tempDirectory)
  const isPermissive = enforcement === 'permissive'
  const tree = isPermissive ? readableTree(host, explicit, closure, tempDirectory, ownFiles) : undefined
  const grants = tree?.grants ?? strict
  const hidden = [
    ...controlDenies(grants, fs, request.env, facts.uid),
    ...cacheDenies(grants, fs, request.env, host.home)
  ]
  const hiding = maskable(explicit.denied, closed)
  const masks = tree ? hostMasks(host, strict, hiding, grants) : []
  const denied = readDenies(hiding, grants, fs).filter((d) => !hidden.some((h) => h.path === d.path))
  const all = [...denied, ...masks, ...hidden]
  const reads = tree ? outermost(facts.privileged ? enterable(host, all, grants) : all) : all
  const auditFile = auditPath(policy, host)
  const own = {
    packageDir: walk(fs, request.packageDir ?? PACKAGE_DIR).real,
    // Those of this environment, whether or not this launch reads them: the next one does.
    folders: [configFolder(request), stateFolder(request), cacheFolder(request.env, host.home)],
    profileFiles: [...loaded.files, ...policy.syscalls.oci.map(({ value }) => expand(host, value).path)],
    ...(auditFile === undefined || auditFile === '-' ? {} : { auditFile })
  }
  // A project named beside the folder around it is one grant with it, and a place of its own all the same.
  const places = [...grants, ...explicit.grants.filter((g) => !grants.some((kept) => kept.path === g.path))]
  const writes = mandatoryDenies(places, host, policy.filesystem.allowProtected, own).filter(
    (w) => !reads.some((r) => isWithin(w.path, r.path))
  )
  const needed = [walk(fs, started).real, ...closure.grants.filter((g) => g.kind === 'file').map((g) => g.path)]
  const mediated = mediation(
    explicit.patterns,
    grants,
    argv.length === 0 ? [] : needed,
    closure.programs,
    tempDirectory,
    walk(fs, host.cwd).real
  )
  if (explicit.patterns.length > 0 && isPermissive) throw mediatesNothing()
  const place = workingDirectory(policy, host, grants, reads, tempDirectory, facts.privileged)
  if (place.cwdNote) {
    // Relative names still mean what they meant to the caller; Python finds its venv by argv[0].
    if (argv[0]?.includes('/')) argv[0] = file
    for (const { index, path } of closure.pathArguments) argv[index] = path
  }
  if (closure.instead) argv.splice(0, closure.instead.from, started)
  const tempLinks = temp.links.map((l) => ({ ...l, origin: 'filesystem.tempDirectory' }))
  const symlinks = jailSymlinks(
    [...tempLinks, ...explicit.symlinks, ...unix.symlinks, ...closure.symlinks, ...(tree?.symlinks ?? [])],
    grants
  )
  const taken = (path: string) => grantOf(grants, path) !== undefined || symlinks.some((l) => l.path === path)
  const files = ownFiles.filter((f) => !taken(f.path))
  const profile: Profile = {
    name: loaded.name,
    purpose: loaded.purpose,
    command: { file: started, argv, ...place },
    env,
    identity: who,
    hostname: HOSTNAME,
    tempDirectory,
    grants,
    ...(tree ? { wouldGrant: strict } : {}),
    sockets: unix.sockets,
    symlinks,
    files,
    denies: [...writes, ...reads],
    ...(mediated ? { mediation: mediated } : {}),
    network,
    devices: { pty: policy.pty },
    syscalls,
    enforcement,
    limits,
    tolerate: policy.tolerate,
    origins: policy.origins,
    notes: notesOf(
      loaded,
      request,
      [...explicit.notes, ...(mediated ? [] : explicit.patterns.map(reachesNothing))],
      closed
    ),
    ...(loaded.policy ? { policy: loaded.policy } : {}),
    off: policy.off,
    audit: {
      userId: String(facts.uid),
      ...(auditFile === undefined ? {} : { file: auditFile }),
      // A look at each call has its price (docs/files.md): paid where somebody keeps the events.
      files: policy.auditFiles ?? (auditFile === undefined && !isPermissive ? 'off' : 'denied')
    }
  }
  return why === undefined ? profile : withoutNamespaces(profile, policy, host, why)
}

/** Landlock alone hides nothing inside of what it shows. */
const needsMounts = (why: string): QiError =>
  new QiError('QI_PROTECTION', `enforcement: permissive cannot hide secrets without a private root: ${why}`, {
    field: 'enforcement',
    value: 'permissive',
    hint: 'run strict, or where user namespaces are allowed'
  })

const reachesNothing = ({ text, origin }: NamePattern): Note => ({
  text: `${text} reaches into no granted folder`,
  origin
})

const mediatesNothing = (): QiError =>
  new QiError('QI_MEDIATE', 'enforcement: permissive shows the host’s whole tree, in which names cannot be denied', {
    field: 'filesystem.mediate',
    value: true,
    hint: 'run strict, or deny folders and files'
  })

type Loaded = LoadedProfile & { policy?: LoadedPolicy }

/** Everything that was written about this launch, merged. @throws QiError as `resolve` */
export function readPolicy(
  request: ResolveRequest,
  fs: ReadFs,
  { uid }: HostFacts
): { loaded: Loaded; policy: Policy } {
  const { profile, tool, ...config } = checked(request.config)
  const loaded: Loaded = request.profile ?? loadFor({ ...request, fs }, profile, tool, uid)
  const hostNamesOnce = () => hostNames(fs)
  return { loaded, policy: mergeLayers([...loaded.layers, { origin: 'config', config }], { hostNames: hostNamesOnce }) }
}

const checked = (config: SandboxConfig): ParsedConfig => plainConfig(config) ?? schemas.parseConfig(config)

function loadFor(
  request: ResolveRequest & { fs: ReadFs },
  profile: string | undefined,
  tool: string | undefined,
  uid: number
): Loaded {
  const { fs, cwd, home, env, argv, server, policyFiles, systemPolicy } = request
  if (policyFiles) {
    const policy = typeof policyFiles === 'string' ? policyFiles : undefined
    return loadPolicy({ fs, cwd, home, env, uid, argv, profile, tool, server, policy, systemPolicy })
  }
  const field = tool !== undefined ? 'tool' : server !== undefined ? 'server' : undefined
  if (field === undefined) return loadProfile(profile, { cwd, fs })
  throw new QiError('QI_POLICY_TOOL', `${field} = ${JSON.stringify(tool ?? server)}: no policy file is read`, {
    field,
    value: tool ?? server,
    hint: 'set policyFiles: true, or leave --no-policy out'
  })
}

/** Who asks for a jail gets one or an error. @throws JailDisabled */
function jailOf(policy: Policy, host: Host): Profile['enforcement'] {
  const { enforcement, env, cwd, origins } = policy
  if (enforcement !== 'disabled') return enforcement
  const auditFile = auditPath(policy, host)
  throw new JailDisabled(origins.enforcement as string, {
    ...(cwd === undefined ? {} : { cwd: host.cwd }),
    ...(auditFile === undefined ? {} : { auditFile }),
    env: Object.fromEntries(Object.entries(env).filter((each): each is [string, string] => each[1] !== true))
  })
}

function notesOf({ policy }: Loaded, { server }: ResolveRequest, grants: Note[], { notes }: Closed): Note[] {
  if (server === undefined || policy?.selection.matched) return [...grants, ...notes]
  return [{ text: `no policy file has an entry of servers: for ${server}`, origin: 'server' }, ...grants, ...notes]
}

function resolveNetwork(
  { network, enforcement }: Policy,
  loaded: LoadedProfile,
  fs: ReadFs,
  askMs: number | undefined
): Profile['network'] {
  const { mode, rules } = compileNetwork(network, askMs, enforcement === 'permissive')
  const innerLoopback = mode !== 'dangerouslyShareHostNetwork' && network.innerLoopback
  if (!rules) return { mode, innerLoopback }
  return { mode, innerLoopback, rules, resolver: hostResolver(fs, rules), layers: networkLayers(loaded.layers) }
}

function resolveSyscalls({ syscalls }: Policy, host: Host, facts: HostFacts): Profile['syscalls'] {
  const allow = [...new Set(syscalls.allow.map(({ value }) => value))]
  const deny = new Map(syscalls.deny.map(({ value, origin }) => [value, origin]))
  const oci = syscalls.oci.map((each) => ociFile.loadOci(each, expand(host, each.value).path, allow, host.fs, facts))
  return {
    allow: allow.filter((name) => !deny.has(name)),
    deny: [...deny].map(([name, origin]) => ({ name, origin })),
    oci
  }
}

function makeHost(request: ResolveRequest, fs: ReadFs, policy: Policy): Host {
  const base = { fs, writtenHome: request.home, callerCwd: request.cwd, env: request.env }
  const host = createHost(base)
  if (policy.cwd === undefined) return host
  const { path } = expand(host, policy.cwd)
  const found = walk(fs, path)
  if (found.kind !== 'dir') throw cwdError(policy.cwd, `${path} is not a folder`, 'create it, or name another')
  return createHost({ ...base, cwd: found.real })
}

const RESERVED = ['/proc', '/sys', '/dev', '/usr', '/etc', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32']

function placeTemp(policy: Policy, host: Host): Walk {
  const written = policy.filesystem.tempDirectory ?? '/tmp'
  const found = walk(host.fs, expand(host, written).path)
  const path = found.real
  const reason = !written.startsWith('/')
    ? 'is not an absolute path'
    : path === '/' || RESERVED.some((r) => isWithin(path, r))
      ? 'is a place the jail needs itself'
      : undefined
  if (reason === undefined) return found
  const field = 'filesystem.tempDirectory'
  throw new QiError('QI_PATH', `${field} = ${JSON.stringify(written)}: ${reason}`, {
    field,
    value: written,
    hint: 'use /tmp'
  })
}

/** The system is left out quietly where it is denied; what the command itself needs cannot be. */
function refuseDeniedCommand({ denied }: ExplicitGrants, closure: Closure, command: string): void {
  const needed = [...closure.grants.filter((g) => !g.optional), { path: command, origin: 'the command' }]
  for (const { path, origin } of needed) {
    const deny = denied.find((d) => !d.sparesCommand && isWithin(path, d.walk.real))
    if (!deny) continue
    throw new QiError(
      'QI_GRANT_CONFLICT',
      `${deny.origin} = ${JSON.stringify(deny.path)}: the launch needs ${path} (${origin})`,
      {
        field: deny.field,
        value: deny.path,
        path,
        hint: 'deny a narrower path'
      }
    )
  }
}

/** What permissive shows: the strict grants, and around them whatever of the host its user may read. */
function readableTree(host: Host, explicit: ExplicitGrants, closure: Closure, temp: string, files: JailFile[]) {
  const tree = hostTree(host, [temp, ...files.map(({ path }) => path)], explicit.denied)
  const shown = closure.grants.filter((g) => !explicit.denied.some((d) => isWithin(g.path, d.walk.real)))
  return { grants: compact(explicit.grants, [...shown, ...tree.grants]), symlinks: tree.symlinks }
}

function combine({ grants, denied }: ExplicitGrants, closure: Closure, tempDirectory: string): Grant[] {
  const clash = grants.find((g) => isWithin(tempDirectory, g.path))
  if (clash) {
    throw new QiError(
      'QI_GRANT_CONFLICT',
      `${clash.origin}: ${clash.path} holds or is the private tmp ${tempDirectory}`,
      {
        field: 'filesystem.tempDirectory',
        value: tempDirectory,
        path: clash.path,
        hint: 'leave the grant out: the private tmp is writable; or move filesystem.tempDirectory'
      }
    )
  }
  return compact(
    grants,
    closure.grants.filter((g) => !denied.some((d) => !d.sparesCommand && isWithin(g.path, d.walk.real)))
  )
}

function auditPath({ auditFile }: Policy, host: Host): string | undefined {
  return auditFile === undefined || auditFile === '-' ? auditFile : expand(host, auditFile).path
}

/** Links that no grant brings along by itself. */
function jailSymlinks(links: JailSymlink[], grants: Grant[]): JailSymlink[] {
  const missing = links.filter((link) => !grantOf(grants, link.path))
  const unique = new Map(missing.map((link) => [link.path, link]))
  return [...unique.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
}
