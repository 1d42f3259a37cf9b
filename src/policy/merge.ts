import { mergeNetwork, type NetworkLayer, type NetworkPolicy } from '../network/merge.js'
import type { ParsedConfig } from './config.js'

/** One writer's part of the policy: a profile file of the extends chain, or the caller's config. */
export interface Layer {
  /** For origins, e.g. `profiles/strict.yaml`. */
  origin: string
  config: Omit<ParsedConfig, 'profile'>
}

export interface PathRule {
  path: string
  access: 'ro' | 'rw' | 'deny'
  /** e.g. `filesystem.allowedPaths[0]` */
  field: string
  origin: string
  /** Position of its layer; a later layer overrides an earlier one. */
  layer: number
}

/** All layers as one: paths added up, everything else the last word. */
export interface Policy {
  paths: PathRule[]
  env: Record<string, string | true>
  /** `layer` counts as in PathRule; the caller's own layer is the last. */
  cwd?: string
  processIsolation: NonNullable<ParsedConfig['processIsolation']>
  filesystem: { tempDirectory?: string; maxFileSize?: number; allowProtected: string[] }
  network: NetworkPolicy
  resources: NonNullable<ParsedConfig['resources']>
  pty: boolean
  auditFile?: string
  tolerate: NonNullable<ParsedConfig['tolerate']>
  /** Where each single value was said last, by its key; lists that add up know theirs themselves. */
  origins: Record<string, string>
}

const LISTS = { readOnlyPaths: 'ro', allowedPaths: 'rw', deniedPaths: 'deny' } as const

export function mergeLayers(layers: Layer[]): Policy {
  const policy: Policy = {
    paths: layers.flatMap(pathRules),
    env: {},
    processIsolation: {},
    filesystem: { allowProtected: [] },
    network: mergeNetwork(networkLayers(layers)),
    resources: {},
    pty: false,
    tolerate: [],
    origins: Object.assign({}, ...layers.map(originsOf))
  }
  for (const { config } of layers) mergeOne(policy, config)
  return policy
}

/** What the layers say about the network, for mergeNetwork. */
export const networkLayers = (layers: Layer[]): NetworkLayer[] =>
  layers.flatMap(({ origin, config: { network } }) => (network ? [{ origin, network }] : []))

function mergeOne(policy: Policy, config: Layer['config']): void {
  const { filesystem = {} } = config
  Object.assign(policy.env, envRecord(config.env))
  Object.assign(policy.processIsolation, defined(config.processIsolation))
  // A threshold belongs to the maximum it was written for.
  if (config.resources?.maxMemory !== undefined) delete policy.resources.memoryThreshold
  Object.assign(policy.resources, defined(config.resources))
  if (config.cwd !== undefined) policy.cwd = config.cwd
  if (filesystem.tempDirectory !== undefined) policy.filesystem.tempDirectory = filesystem.tempDirectory
  if (filesystem.maxFileSize !== undefined) policy.filesystem.maxFileSize = filesystem.maxFileSize
  policy.filesystem.allowProtected.push(...(filesystem.allowProtected ?? []))
  if (config.devices?.pty !== undefined) policy.pty = config.devices.pty
  if (config.audit?.file !== undefined) policy.auditFile = config.audit.file
  // Replaced, not added up: `tolerate: []` must be able to ask for everything.
  if (config.tolerate) policy.tolerate = config.tolerate
}

function originsOf({ origin, config }: Layer): Record<string, string> {
  const sections = { ...config, env: envRecord(config.env) }
  const keys = Object.entries(sections).flatMap(([section, value]) => {
    const isSection = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isSection
      ? Object.keys(defined(value)).map((key) => `${section}.${key}`)
      : value === undefined
        ? []
        : [section]
  })
  return Object.fromEntries(keys.map((key) => [key, `${origin}: ${key}`]))
}

function pathRules(layer: Layer, index: number): PathRule[] {
  return Object.entries(LISTS).flatMap(([key, access]) =>
    (layer.config.filesystem?.[key as keyof typeof LISTS] ?? []).map((path, i) => {
      const field = `filesystem.${key}[${i}]`
      return { path, access, field, origin: `${layer.origin}: ${field}`, layer: index }
    })
  )
}

function envRecord(env: ParsedConfig['env']): Record<string, string | true> {
  if (!Array.isArray(env)) return env ?? {}
  return Object.fromEntries(env.map((name) => [name, true as const]))
}

function defined<T extends object>(part: T | undefined): Partial<T> {
  return Object.fromEntries(Object.entries(part ?? {}).filter(([, v]) => v !== undefined)) as Partial<T>
}
