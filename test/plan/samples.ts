import type { HostFacts } from '../../src/host/facts.js'
import { type BuildOptions, buildPlan } from '../../src/plan/index.js'
import { MountFlag, MountKind, type MountKindValue, type MountOp, type Plan } from '../../src/plan/layout.gen.js'
import type { Grant, Profile, ProfileLimits } from '../../src/profile/types.js'

export const facts = (over: Partial<HostFacts> = {}): HostFacts => ({
  arch: 'x64',
  kernel: '6.12',
  uid: 501,
  gid: 502,
  privileged: false,
  landlockAbi: 6,
  seccomp: { userNotif: true, waitKillableRecv: true },
  netnsCookie: true,
  mountSetattr: true,
  cgroup: { version: 2, mount: '/sys/fs/cgroup', source: 'none', controllers: [], reason: 'a test has none' },
  ...over
})
export const rootFacts = (over: Partial<HostFacts> = {}) => facts({ uid: 0, gid: 0, privileged: true, ...over })

export const grant = (path: string, over: Partial<Grant> = {}): Grant => ({
  path,
  access: 'ro',
  kind: 'dir',
  as: 'caller',
  optional: false,
  origin: 'a test',
  ...over
})

export const limits = (over: Partial<ProfileLimits> = {}): ProfileLimits => ({
  maxFileDescriptors: 1024,
  maxFileSize: 1 << 20,
  maxProcesses: 64,
  onProcessLimit: 'refuse',
  executionClock: 'wall',
  terminationGrace: 2000,
  tmpSize: 1 << 26,
  tmpFiles: 4096,
  cgroup: 'auto',
  ...over
})

/** A server in /srv/app that may write /srv/app/data, on a small system. */
export const profile = (over: Partial<Profile> = {}): Profile => ({
  name: 'test',
  purpose: 'a test',
  command: { file: '/usr/bin/node', argv: ['node', 'server.js'], cwd: '/srv/app' },
  env: [
    ['PATH', '/usr/bin'],
    ['HOME', '/home/u']
  ],
  identity: { uidInside: 1000, gidInside: 1000, uidOutside: 501, gidOutside: 502 },
  hostname: 'jail',
  tempDirectory: '/tmp',
  syscalls: { allow: [], deny: [], oci: [] },
  enforcement: 'strict',
  grants: [
    grant('/usr', { as: 'other' }),
    grant('/srv/app/data', { access: 'rw' }),
    grant('/srv/app'),
    grant('/etc/ld.so.cache', { kind: 'file', as: 'other', optional: true })
  ],
  sockets: [],
  symlinks: [{ path: '/bin', target: 'usr/bin', origin: 'a test' }],
  files: [{ path: '/etc/passwd', content: 'jail:x:1000:1000::/home/u:/bin/sh\n', mode: 0o644, origin: 'a test' }],
  denies: [],
  network: { mode: 'none', innerLoopback: false },
  devices: { pty: false },
  limits: limits(),
  tolerate: [],
  off: [],
  origins: {},
  notes: [],
  audit: { userId: '501', files: 'off' },
  ...over
})

const OPTIONS: BuildOptions = {
  compile: () => new Uint8Array(16),
  auditHead: '"version":"1.0"',
  control: true,
  auditFile: false
}

export const build = (of: Profile = profile(), on: HostFacts = facts(), options: Partial<BuildOptions> = {}) =>
  buildPlan(of, on, { ...OPTIONS, ...options })

export const planOf = (...args: Parameters<typeof build>): Plan => build(...args).plan

const KINDS = Object.fromEntries(Object.entries(MountKind).map(([name, value]) => [value, name])) as Record<
  MountKindValue,
  string
>
const ATTRIBUTES = { ro: 1, nosuid: 2, nodev: 4, noexec: 8 }
const names = (bits: number, table: Record<string, number>): string[] =>
  Object.keys(table).filter((name) => bits & (table[name] ?? 0))

/** One line for one step of the root, as a person would write it. */
export function describeMount(op: MountOp): string {
  const attributes = [...names(op.attrSet, ATTRIBUTES), ...names(op.attrClear, ATTRIBUTES).map((name) => `-${name}`)]
  const parts = [
    KINDS[op.kind].padEnd(8),
    op.target,
    op.source && op.source !== op.target ? `<- ${op.source}` : '',
    op.mode ? op.mode.toString(8).padStart(4, '0') : '',
    op.rdevMajor ? `${op.rdevMajor}:${op.rdevMinor}` : '',
    attributes.length > 0 ? `[${attributes.join(' ')}]` : '',
    names(op.flags, MountFlag).join(' '),
    op.data.length > 0 ? `${op.data.length} bytes` : ''
  ]
  return parts.filter((part) => part !== '').join(' ')
}
