import { findCgroup } from '../host/cgroup.js'
import { hostReader } from '../host/cgroup-reader.js'
import type { HostFacts } from '../host/facts.js'
import { loadAddon } from '../launch/locate.js'
import type { Prepared } from '../launch/prepare.js'
import { PACKAGE_DIR } from '../policy/profiles.js'
import { nodeFs } from '../profile/fs.js'
import type { ResolveRequest } from '../profile/resolve.js'
import type { Profile } from '../profile/types.js'
import { makeKeptFolder, makeSecretFolder } from './folder.js'
import { ObservedCgroup, ObservedFs } from './observe.js'
import { isBundled, ownFiles } from './own-files.js'
import { keyOf, store } from './store.js'
import { ObservedVariables } from './variables.js'

/** What decides about a run before it is resolved. */
const BEFORE = 'QI_JAIL_NO_CACHE QI_LOG QI_JAIL_RESIDENT QI_JAIL_LAUNCH_FAILED'.split(' ')
/** What makes another program of Node, and of what looks at the host in it. */
const WITHIN = 'NODE_OPTIONS LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT'.split(' ')

/** Notes what a run is resolved from, so that its plan can be kept: native/cache looks at the same things again. */
export class Observation {
  private readonly folder: string | undefined
  private readonly fs = new ObservedFs(nodeFs)
  private readonly cgroup = new ObservedCgroup(hostReader)
  private readonly variables: ObservedVariables
  private drawn = false
  private readonly asked: { -readonly [K in 'cgroup' | 'userNamespaces']?: HostFacts[K] } = {}
  private told: HostFacts | undefined

  /** `args`: our own, after the program. */
  constructor(
    caller: Record<string, string | undefined>,
    private readonly cwd: string,
    private readonly args: string[]
  ) {
    this.variables = new ObservedVariables(caller)
    for (const name of [...BEFORE, ...WITHIN]) void this.variables.env[name]
    const { HOME: home, QI_JAIL_NO_CACHE: off } = this.variables.env
    // Made before anybody looks at what is around it.
    if (!home?.startsWith('/') || off !== undefined) return
    if (makeSecretFolder()) this.folder = makeKeptFolder(caller, home, 'plans')
  }

  /** For `resolve`, in place of what it would look at itself. */
  request(): Pick<ResolveRequest, 'fs' | 'env' | 'variables' | 'random'> {
    const random = () => {
      this.drawn = true
      return 0
    }
    return { fs: this.fs, env: this.variables.env, variables: this.variables, random }
  }

  /** The same facts; where a cgroup would come from is looked for when somebody asks. */
  facts(facts: HostFacts): HostFacts {
    const { asked } = this
    const caller = { uid: facts.uid, env: this.variables.env, launcherPid: process.pid }
    const getters: PropertyDescriptorMap = {
      cgroup: { get: () => (asked.cgroup ??= findCgroup(this.cgroup, caller)), enumerable: true },
      userNamespaces: { get: () => (asked.userNamespaces ??= facts.userNamespaces) }
    }
    this.told ??= Object.create(Object.prototype, {
      ...Object.getOwnPropertyDescriptors(facts),
      ...getters
    }) as HostFacts
    return this.told
  }

  /** The first of the host ids of which each launch draws one. */
  firstUid({ identity }: Profile): { firstUid?: number } {
    return this.drawn ? { firstUid: identity.uidOutside } : {}
  }

  /** Where anything stands against it, the next run takes as long as this one. */
  keep(prepared: Prepared): boolean {
    try {
      return this.tryToKeep(prepared)
    } catch {
      return false // too large, or some of it went away
    }
  }

  private tryToKeep({ template, profile }: Prepared): boolean {
    const { cwd, args, folder } = this
    if (!folder) return false
    const looks = this.fs.settled()
    const variables = this.variables.list(profile.env.map(([name, value]) => `${name}=${value}`))
    const facts = loadAddon().callerFacts()
    const own = ownFiles()
    if (looks.length === 0 || !variables || !facts || !own || !this.lasts(profile)) return false
    if (!cwd.startsWith('/') || [cwd, ...args].some((text) => text.includes('\ufffd'))) return false
    const { file = '' } = profile.audit
    return store(folder, {
      sessionAt: template.sessionAt,
      firstUid: template.firstUid ?? 0,
      auditUnshared: profile.grants.some((grant) => grant.access === 'rw') ? 1 : 0,
      key: keyOf(PACKAGE_DIR, cwd, args),
      facts,
      looks: [...looks, ...this.cgroup.looks, ...own],
      variables,
      tempAt: new Uint8Array(Uint32Array.from(template.tempAt).buffer),
      auditFile: file,
      plan: template.bytes
    })
  }

  /** Not what depends on more than is looked at again: mounts of the host, a process that is gone by then. */
  private lasts({ enforcement, audit }: Profile): boolean {
    const { cgroup, userNamespaces } = this.asked
    if (!isBundled() || enforcement === 'permissive' || audit.file === '-') return false
    return cgroup?.launcherPid === undefined && userNamespaces?.usable !== false
  }
}
