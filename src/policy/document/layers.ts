import { toNetwork } from '../../network/document.js'
import type { ParsedConfig } from '../config.js'
import { literally } from '../glob.js'
import { formatField } from '../issues.js'
import type { Layer } from '../layer.js'
import type { PolicyDocument } from './parse.js'
import type { SandboxProfile } from './schema.js'
import type { ToolPolicy } from './security.js'

type Path = (string | number)[]
type Config = Layer['config']

/** What a profile of `sandbox:` says, each value with its place. */
export function profileLayer({ source }: PolicyDocument, name: string, profile: SandboxProfile): Layer {
  const { extends: _extends, purpose: _purpose, ...config } = profile
  const base = ['sandbox', 'profiles', name]
  const marks: Record<string, string> = {}
  for (const path of placesIn(config)) {
    const written = [...base, ...path]
    marks[formatField(path)] = `${source.at(written)}: ${formatField(written)}`
  }
  // Origins go by the name of a variable, however the list is written.
  if (Array.isArray(config.env))
    for (const [i, name] of config.env.entries()) marks[`env.${name}`] = marks[`env[${i}]`] as string
  return { origin: source.file, config, marks }
}

/** Everything that may be told apart in a message: sections, keys, entries of lists and members of records. */
function* placesIn(value: unknown, path: Path = []): Generator<Path> {
  if (path.length > 0) yield path
  if (Array.isArray(value)) for (const i of value.keys()) yield [...path, i]
  else if (value !== null && typeof value === 'object')
    for (const [key, inner] of Object.entries(value)) yield* placesIn(inner, [...path, key])
}

/**
 * What `security:` says of the jail, in the words of SandboxConfig; undefined when it says nothing. `tool` selects the entry
 * of tool_specific: its values stand in place of default_policy's, its denials beside them.
 */
export function securityLayer(
  { policy: { security }, source }: PolicyDocument,
  tool: string | undefined
): Layer | undefined {
  const { default_policy: common = {}, tool_specific: specific = {} } = security?.tools ?? {}
  const own = tool !== undefined && Object.hasOwn(specific, tool) ? (specific[tool] as ToolPolicy) : {}
  const marks: Record<string, string> = {}
  const mark = (field: string, path: Path, section = 'tools') => {
    const written = ['security', section, ...path]
    marks[field] = `${source.at(written)}: ${formatField(written)}`
  }
  const mode = security?.global?.enforcement_mode
  if (mode !== undefined) mark('enforcement', ['enforcement_mode'], 'global')
  /** The tool's own value, else everybody's. */
  const take = <T>(field: string, of: (policy: ToolPolicy) => T | undefined, ...keys: string[]): T | undefined => {
    const mine = of(own)
    if (mine === undefined && of(common) === undefined) return undefined
    const base: Path = mine === undefined ? ['default_policy'] : ['tool_specific', tool as string]
    mark(field, [...base, ...keys])
    if (Array.isArray(mine ?? of(common)))
      for (const i of ((mine ?? of(common)) as unknown[]).keys()) mark(`${field}[${i}]`, [...base, ...keys, i])
    return mine ?? of(common)
  }
  const denied = <K extends 'denied_paths' | 'denied_hosts'>(field: string, key: K): string[] | undefined => {
    const [all, mine] = [common[key], own[key]]
    for (const i of (all ?? []).keys()) mark(`${field}[${i}]`, ['default_policy', key, i])
    for (const i of (mine ?? []).keys())
      mark(`${field}[${(all?.length ?? 0) + i}]`, ['tool_specific', tool as string, key, i])
    return all || mine ? [...(all ?? []), ...(mine ?? [])] : undefined
  }
  const config = present({
    enforcement: mode,
    filesystem: present({
      allowedPaths: take('filesystem.allowedPaths', (p) => p.allowed_paths, 'allowed_paths')?.map(ifThere),
      deniedPaths: denied('filesystem.deniedPaths', 'denied_paths'),
      maxFileSize: take('filesystem.maxFileSize', (p) => p.max_file_size, 'max_file_size')
    }),
    network: present(
      toNetwork(
        present({
          allowed_hosts: take('network.allowedHosts', (p) => p.allowed_hosts, 'allowed_hosts'),
          denied_hosts: denied('network.deniedHosts', 'denied_hosts'),
          max_connections: take('network.maxConnections', (p) => p.max_connections, 'max_connections')
        }) ?? {}
      )
    ),
    resources: present({
      maxExecutionTime: take('resources.maxExecutionTime', (p) => p.max_execution_time, 'max_execution_time'),
      maxMemory: take('resources.maxMemory', (p) => p.resource_limits?.memory, 'resource_limits', 'memory'),
      maxCpu: take('resources.maxCpu', (p) => p.resource_limits?.cpu, 'resource_limits', 'cpu')
    })
  })
  return config ? { origin: source.file, config: config as Config, marks, sparesCommand: true } : undefined
}

/** A document names what a tool may use, whether or not it is there today. */
const ifThere = (path: string): string => (path.endsWith('?') ? path : `${path}?`)

function present<T extends object>(part: T): { [K in keyof T]: NonNullable<T[K]> } | undefined {
  const kept = Object.entries(part).filter(([, value]) => value !== undefined)
  return kept.length > 0 ? (Object.fromEntries(kept) as { [K in keyof T]: NonNullable<T[K]> }) : undefined
}

/** Relative paths of a file that lies in a project mean the project, wherever in it the command is started. */
export function anchored(layer: Layer, folder: string): Layer {
  const { filesystem, network, syscalls, cwd, audit, resources } = layer.config
  const at = (path: string, from = folder) =>
    /^(?:\/|~(?:\/|$)|\$|-$|\*\*\/)/.test(path) ? path : `${from}/${path.replace(/^\.\//, '')}`
  // In these lists the folder's own name would be a pattern.
  const plain = literally(folder)
  const list = (paths: string[] | undefined) => paths?.map((path) => at(path, plain))
  const config = {
    ...layer.config,
    ...(filesystem && {
      filesystem: present({
        ...filesystem,
        readOnlyPaths: list(filesystem.readOnlyPaths),
        allowedPaths: list(filesystem.allowedPaths),
        deniedPaths: list(filesystem.deniedPaths)
      })
    }),
    ...(network?.allowUnixSockets && {
      network: { ...network, allowUnixSockets: network.allowUnixSockets.map((path) => at(path)) }
    }),
    ...(syscalls?.oci === undefined ? {} : { syscalls: { ...syscalls, oci: at(syscalls.oci) } }),
    ...(cwd === undefined ? {} : { cwd: at(cwd) }),
    ...(audit?.file === undefined ? {} : { audit: { ...audit, file: at(audit.file) } }),
    ...(resources?.maxIo?.path === undefined
      ? {}
      : { resources: { ...resources, maxIo: { ...resources.maxIo, path: at(resources.maxIo.path) } } })
  }
  return { ...layer, config: config as ParsedConfig }
}
