import type { OciProfile } from '../filter/oci.js'
import type { NetworkLayer } from '../network/merge.js'
import type { NetworkRules, Resolver } from '../network/types.js'
import type { LoadedPolicy } from '../policy/document/load.js'
import type { Segment } from '../policy/glob.js'
import type { IoTarget } from './io-target.js'

/** `denied`: what is refused; `all`: what goes through too; `off`: nothing, and no call waits for qi-monitor to look. */
export const AUDIT_FILES = ['denied', 'all', 'off'] as const
export type AuditFiles = (typeof AUDIT_FILES)[number]

/** The layers of the jail, each reported per host. */
export const PROTECTIONS = [
  'userNamespace',
  'mountNamespace',
  'pidNamespace',
  'networkNamespace',
  'ipcNamespace',
  'utsNamespace',
  'cgroupNamespace',
  'privateRoot',
  'idMappedMounts',
  'nestedUserNamespace',
  'capabilities',
  'noNewPrivs',
  'landlockFs',
  'landlockNet',
  'landlockScope',
  'seccomp',
  'auditEvents',
  'mandatoryDenies',
  'rlimits',
  'memoryLimit',
  'cpuLimit',
  'processLimit',
  'ioLimit',
  'wallClock',
  'monitorConfinement'
] as const
export type ProtectionName = (typeof PROTECTIONS)[number]

/** Layers without which there still is a jail. Without the first it is one of another kind (src/profile/tier.ts). */
export const CAN_BE_OFF: readonly ProtectionName[] = ['userNamespace', 'landlockFs', 'landlockNet', 'landlockScope']

export interface Protection {
  name: ProtectionName
  state: 'enforced' | 'degraded' | 'off'
  /** Why it is not `enforced`, or what enforces it. */
  reason: string
}

/** One thing of the host that the jail can see. Paths are absolute, canonical (links resolved once, by `resolve`). */
export interface Grant {
  path: string
  access: 'ro' | 'rw'
  kind: 'file' | 'dir'
  /**
   * `caller`: what the caller may do with its files the payload may do too (an id-mapped mount when root launches).
   * `other`: plain mount; for world-readable system files.
   */
  as: 'caller' | 'other'
  /** Skipped without an error when it is not there (built-in system paths only). */
  optional: boolean
  /** Who asked for it: `closure: interpreter`, `--ro`, `profiles/strict.yaml: filesystem.readOnlyPaths[0]`. */
  origin: string
}

/** A socket of the host that the payload may connect to. */
export interface UnixSocket {
  /** Canonical. */
  path: string
  origin: string
  /** What it could be used for, where that is more than its name says. */
  risk?: string
}

/** A link of the host that must exist in the jail too, e.g. /bin -> usr/bin or ~/bin/tool -> ../tools/cli.js. */
export interface JailSymlink {
  path: string
  /** readlink(2) text. */
  target: string
  origin: string
}

/** A small file that exists in the jail only (/etc/passwd, /etc/hosts, …). */
export interface JailFile {
  path: string
  content: string
  mode: number
  origin: string
}

/** A path inside a grant that must not be written (or, `read`, not even be seen). */
export interface Deny {
  path: string
  kind: 'write' | 'read'
  /** What is there now; a `missing` write-deny forbids the name to come into being. */
  now: 'file' | 'dir' | 'missing'
  origin: string
}

/** Names that are denied wherever they are below `base`, there or not. */
export interface NamePattern {
  /** As it was written. */
  text: string
  /** Canonical. */
  base: string
  /** Written without one: of everything that belongs to the policy or the project, not of the system. */
  anywhere: boolean
  segments: Segment[]
  origin: string
}

/** `filesystem.mediate`: folders in which qi-monitor makes every open and change itself. */
export interface Mediation {
  patterns: NamePattern[]
  /** Of the grants those in which a pattern could match. */
  folders: string[]
  /** Files in them that may be executed all the same: the command, and what it starts with. */
  executables: string[]
}

export interface ProfileLimits {
  /** RLIMIT_NOFILE */
  maxFileDescriptors: number
  /** RLIMIT_FSIZE, bytes */
  maxFileSize: number
  /** Processes and threads: RLIMIT_NPROC, counted inside the jail's user namespace, and pids.max. */
  maxProcesses: number
  /** What happens to the fork that would be one too many: EAGAIN, or the end of the jail. */
  onProcessLimit: 'refuse' | 'kill'
  /** Bytes of the whole jail; undefined = none. */
  maxMemory?: number
  /** Bytes; set with maxMemory, and below it. */
  memoryThreshold?: number
  /** Cores, over all processes; undefined = none. */
  maxCpu?: number
  /** cpu.weight */
  cpuWeight?: number
  /** Each per second; `device` is the whole disk that `path` lies on, `reason` why none can be named. */
  maxIo?: { readBytes?: number; writeBytes?: number; readOps?: number; writeOps?: number } & IoTarget
  /** Milliseconds; undefined = none */
  maxExecutionTime?: number
  /** `wall`: CLOCK_BOOTTIME; `running`: CLOCK_MONOTONIC without the time the jail was paused. */
  executionClock: 'wall' | 'running'
  /** Milliseconds between SIGTERM and SIGKILL when the time is over. */
  terminationGrace: number
  /** Size of the jail's private tmpfs (/tmp, /dev/shm), bytes */
  tmpSize: number
  /** Files and folders in it. */
  tmpFiles: number
  /** `off`: no cgroup, whatever the host has. */
  cgroup: 'auto' | 'off'
}

/** Something the policy says, and what comes of it instead. */
export interface Note {
  text: string
  origin: string
}

/** Everything decided, with each rule's origin. The output of `resolve`, the input of `build`. */
export interface Profile {
  name: string
  /** One line, from the profile file. */
  purpose: string
  command: {
    /** Path given to execve(2); exists in the jail. */
    file: string
    argv: string[]
    cwd: string
    /** Set when the inherited cwd is not granted and was replaced by the private tmp. */
    cwdNote?: string
  }
  /** The payload's whole environment. */
  env: [name: string, value: string][]
  identity: {
    /** uid/gid the payload sees. */
    uidInside: number
    gidInside: number
    /** uid/gid it has on the host; equal to the caller's unless root launches. */
    uidOutside: number
    gidOutside: number
  }
  hostname: string
  /** Where the writable private tmp is seen. */
  tempDirectory: string
  /** What is mounted. */
  grants: Grant[]
  /** With `enforcement: permissive`: what strict would grant; `grants` are then more. */
  wouldGrant?: Grant[]
  sockets: UnixSocket[]
  symlinks: JailSymlink[]
  files: JailFile[]
  denies: Deny[]
  mediation?: Mediation
  network: {
    mode: 'none' | 'allowList' | 'dangerouslyShareHostNetwork'
    /** Connects to the jail's own loopback. */
    innerLoopback: boolean
    /** The next three with `allowList` only. */
    rules?: NetworkRules
    resolver?: Resolver
    /** What the profile files said, over which a live update lies as the caller's configuration did. */
    layers?: NetworkLayer[]
  }
  devices: { pty: boolean }
  /** Over the table of src/filter; calls by name, groups spelled out. */
  syscalls: {
    allow: string[]
    /** Stronger than `allow` and any profile. */
    deny: { name: string; origin: string }[]
    /** What each of them does not allow is refused; those in `allow` are lifted already. */
    oci: OciProfile[]
  }
  enforcement: 'strict' | 'permissive'
  limits: ProfileLimits
  /** What may be missing on this host without ending the launch. */
  tolerate: ProtectionName[]
  /** Where each single value was said last, by its key in a policy, e.g. `resources.maxMemory`; for who explains it. */
  origins: Record<string, string>
  /** What the policy says and this jail does not do, each with where it says so. */
  notes: Note[]
  /** What the policy files came to, where they were read. */
  policy?: LoadedPolicy
  /** What is not even tried. */
  off: ProtectionName[]
  /** Set where it launches without namespaces: why. Paths are the host's then. */
  withoutNamespaces?: string
  /** Facts for the audit events. */
  audit: {
    userId: string
    tool?: { name: string; version: string; server: string }
    /** Absolute path of the audit file, or `-`; the jail cannot write it. */
    file?: string
    /** Which of the payload's acts on files are events. */
    files: AuditFiles
  }
}
