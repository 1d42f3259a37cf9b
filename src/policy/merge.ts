import { mergeNetworkLayer, type NetworkLayer, type NetworkPolicy, noNetwork, type Written } from '../network/merge.js'
import type { ProtectionName } from '../profile/types.js'
import type { ParsedConfig } from './config.js'
import { type EnforcementMode, envRecord, type Layer, placeOf } from './layer.js'
import { type NarrowContext, refuseWidening } from './narrow.js'
import * as names from './syscall-names.js'

export type { Layer } from './layer.js'

export interface PathRule {
  path: string
  access: 'ro' | 'rw' | 'deny'
  /** e.g. `filesystem.allowedPaths[0]` */
  field: string
  origin: string
  /** Position of its layer; a later layer overrides an earlier one, but no denial. */
  layer: number
  /** As Layer.sparesCommand. */
  sparesCommand?: boolean
}

/** A narrowing layer, and which lists of paths it has: of those only what it names stays. */
export interface PathLimit {
  layer: number
  origin: string
  lists: ('ro' | 'rw')[]
}

export type { Written }

/** What all layers say of system calls; added up, each in the order it was written. */
export interface SyscallPolicy {
  /** One for each call, whether it was named itself or by a group. */
  allow: Written<string>[]
  deny: Written<string>[]
  /** Each of these profiles narrows. */
  oci: Written<string>[]
}

/** All layers as one: paths added up, everything else the last word. */
export interface Policy {
  paths: PathRule[]
  pathLimits: PathLimit[]
  /** Position of the caller's own layer. */
  callerLayer: number
  env: Record<string, string | true>
  /** `layer` counts as in PathRule; the caller's own layer is the last. */
  cwd?: string
  processIsolation: NonNullable<ParsedConfig['processIsolation']>
  filesystem: { tempDirectory?: string; maxFileSize?: number; mediate: boolean; allowProtected: string[] }
  network: NetworkPolicy
  resources: NonNullable<ParsedConfig['resources']>
  pty: boolean
  syscalls: SyscallPolicy
  enforcement: EnforcementMode
  auditFile?: string
  auditFiles?: NonNullable<ParsedConfig['audit']>['files']
  tolerate: ProtectionName[]
  /** Of these the layers that are not even tried. */
  off: ProtectionName[]
  /** Where each single value was said last, by its key; lists that add up know theirs themselves. */
  origins: Record<string, string>
}

const LISTS = { readOnlyPaths: 'ro', allowedPaths: 'rw', deniedPaths: 'deny' } as const

/** @throws QiError QI_POLICY_WIDENS */
export function mergeLayers(layers: Layer[], context: NarrowContext = {}): Policy {
  const policy: Policy = {
    paths: layers.flatMap(pathRules),
    pathLimits: layers.flatMap(pathLimit),
    callerLayer: layers.length - 1,
    env: {},
    processIsolation: {},
    filesystem: { mediate: false, allowProtected: [] },
    network: noNetwork(),
    resources: {},
    pty: false,
    syscalls: mergeSyscalls(layers),
    enforcement: 'strict',
    tolerate: [],
    off: [],
    origins: Object.assign({}, ...layers.map(originsOf))
  }
  for (const layer of layers) {
    if (layer.narrows) refuseWidening(policy, layer, context)
    mergeOne(policy, layer)
  }
  return policy
}

/** What the layers say about the network, for mergeNetwork. */
export const networkLayers = (layers: Layer[]): NetworkLayer[] => layers.flatMap((layer) => networkLayer(layer) ?? [])

function networkLayer({ config, origin, marks, narrows }: Layer): NetworkLayer | undefined {
  if (!config.network) return undefined
  return { origin, network: config.network, ...(marks ? { marks } : {}), ...(narrows ? { narrows } : {}) }
}

function mergeOne(policy: Policy, layer: Layer): void {
  const { config } = layer
  const { filesystem = {} } = config
  const network = networkLayer(layer)
  if (network) mergeNetworkLayer(policy.network, network)
  mergeEnv(policy, layer)
  Object.assign(policy.processIsolation, defined(config.processIsolation))
  mergeResources(policy, layer)
  if (config.cwd !== undefined) policy.cwd = config.cwd
  if (filesystem.tempDirectory !== undefined) policy.filesystem.tempDirectory = filesystem.tempDirectory
  if (filesystem.maxFileSize !== undefined) policy.filesystem.maxFileSize = filesystem.maxFileSize
  if (filesystem.mediate !== undefined) policy.filesystem.mediate = filesystem.mediate
  if (layer.narrows && filesystem.allowProtected) policy.filesystem.allowProtected = []
  policy.filesystem.allowProtected.push(...(filesystem.allowProtected ?? []))
  if (config.devices?.pty !== undefined) policy.pty = config.devices.pty
  if (config.enforcement !== undefined) policy.enforcement = config.enforcement
  if (config.audit?.file !== undefined) policy.auditFile = config.audit.file
  if (config.audit?.files !== undefined) policy.auditFiles = config.audit.files
  // Replaced, not added up: `tolerate: []` must be able to ask for everything.
  if (config.tolerate) {
    policy.tolerate = config.tolerate
    policy.off = []
  }
  for (const [name, wanted] of Object.entries(config.protections ?? {}) as [ProtectionName, string][]) {
    const others = (list: ProtectionName[]) => list.filter((one) => one !== name)
    policy.tolerate = [...others(policy.tolerate), ...(wanted === 'require' ? [] : [name])]
    policy.off = [...others(policy.off), ...(wanted === 'off' ? [name] : [])]
  }
}

/** Of a narrowing layer, names that it leaves out go; a value that is set grants nothing and stays. */
function mergeEnv(policy: Policy, { config, narrows }: Layer): void {
  if (narrows && config.env)
    for (const [name, value] of Object.entries(policy.env)) if (value === true) delete policy.env[name]
  Object.assign(policy.env, envRecord(config.env))
}

function mergeResources({ resources }: Policy, { config, narrows }: Layer): void {
  const { memoryThreshold: was } = resources
  const maximum = config.resources?.maxMemory
  // A threshold belongs to the maximum it was written for.
  if (maximum !== undefined && !(narrows && was !== undefined && was < maximum)) delete resources.memoryThreshold
  Object.assign(resources, defined(config.resources))
}

function originsOf(layer: Layer): Record<string, string> {
  const sections = { ...layer.config, env: envRecord(layer.config.env) }
  const keys = Object.entries(sections).flatMap(([section, value]) => {
    const isSection = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isSection
      ? Object.keys(defined(value)).map((key) => `${section}.${key}`)
      : value === undefined
        ? []
        : [section]
  })
  return Object.fromEntries(keys.map((key) => [key, placeOf(layer, key).origin]))
}

function mergeSyscalls(layers: Layer[]): SyscallPolicy {
  const written = (layer: Layer, value: string, key: string): Written<string> => ({ value, ...placeOf(layer, key) })
  const list = (key: 'allow' | 'deny') =>
    layers.flatMap((layer) =>
      (layer.config.syscalls?.[key] ?? []).flatMap((entry, i) => {
        const read = names.readSyscall(entry, key)
        return ('calls' in read ? read.calls : []).map((name) => written(layer, name, `syscalls.${key}[${i}]`))
      })
    )
  const oci = layers.flatMap((layer) => {
    const file = layer.config.syscalls?.oci
    return file === undefined ? [] : [written(layer, file, 'syscalls.oci')]
  })
  return { allow: list('allow'), deny: list('deny'), oci }
}

function pathRules(layer: Layer, index: number): PathRule[] {
  return Object.entries(LISTS).flatMap(([key, access]) =>
    (layer.config.filesystem?.[key as keyof typeof LISTS] ?? []).map((path, i) => {
      const place = placeOf(layer, `filesystem.${key}[${i}]`)
      return { path, access, ...place, layer: index, ...(layer.sparesCommand ? { sparesCommand: true } : {}) }
    })
  )
}

function pathLimit({ narrows, origin, config: { filesystem = {} } }: Layer, layer: number): PathLimit[] {
  const lists = (['ro', 'rw'] as const).filter((a) => filesystem[a === 'ro' ? 'readOnlyPaths' : 'allowedPaths'])
  return narrows && lists.length > 0 ? [{ layer, origin, lists }] : []
}

function defined<T extends object>(part: T | undefined): Partial<T> {
  return Object.fromEntries(Object.entries(part ?? {}).filter(([, v]) => v !== undefined)) as Partial<T>
}
