import type { ParsedConfig } from '../policy/config.js'
import { type Layer, placeOf } from '../policy/layer.js'
import { covers } from './cover.js'
import { type AllowedHost, isAnyHost, readEntry, usualPorts } from './entry.js'
import type { DeniedErrno } from './types.js'

/** The network part of a layer. */
export interface NetworkLayer extends Pick<Layer, 'origin' | 'marks' | 'narrows'> {
  network: NonNullable<ParsedConfig['network']>
}

/** Something that was written, and where. */
export interface Written<T> {
  value: T
  /** e.g. `network.publish[0]` */
  field: string
  origin: string
}

/** `most`: the ports that a narrowing layer left it. */
export type AllowedBy = Written<AllowedHost> & { most?: number[] }

/** All layers as one: lists added up, everything else the last word. */
export interface NetworkPolicy {
  shareHost: boolean
  innerLoopback: boolean
  allowed: AllowedBy[]
  denied: Written<string>[]
  udp: Written<string>[]
  loopback: Written<number>[]
  publish: Written<number>[]
  /** Paths as written; whatever the mode. */
  unixSockets: Written<string>[]
  allowedPorts?: Written<number[]>
  /** They are from a narrowing layer, where none had been before: an inspected host of a later one gets no port by them. */
  portsNarrow?: boolean
  /** What narrowing layers named of the host's own network, and the loopback as it was before them. */
  carved?: { lists: HostList[]; innerLoopback: boolean }
  maxConnections?: Written<number>
  onDenied?: Written<DeniedErrno>
  updatable: boolean
}

export const noNetwork = (): NetworkPolicy => ({
  shareHost: false,
  innerLoopback: false,
  allowed: [],
  denied: [],
  udp: [],
  loopback: [],
  publish: [],
  unixSockets: [],
  updatable: false
})

export function mergeNetwork(layers: NetworkLayer[]): NetworkPolicy {
  const policy = noNetwork()
  for (const layer of layers) mergeNetworkLayer(policy, layer)
  return policy
}

export function mergeNetworkLayer(policy: NetworkPolicy, layer: NetworkLayer): void {
  const { network } = layer
  const written = <T>(key: string, value: T): Written<T> => ({ value, ...placeOf(layer, `network.${key}`) })
  const unshares =
    HOST_LISTS.some((key) => (network[key]?.length ?? 0) > 0) ||
    network.updatable === true ||
    network.denyInternet !== undefined ||
    network.dangerouslyShareHostNetwork === false
  const before = [...policy.allowed]
  if (layer.narrows) carve(policy, network)
  else if (unshares) uncarve(policy)
  const each = <T>(key: string, list: T[] | undefined) => (list ?? []).map((value, i) => written(`${key}[${i}]`, value))
  // A later denyInternet takes back what an earlier layer opened to everybody; what it named stays.
  if (network.denyInternet === true) {
    policy.shareHost = false
    policy.allowed = policy.allowed.filter(({ value }) => !isAnyHost(value))
  }
  const allowed = each<AllowedHost>('allowedHosts', network.allowedHosts)
  if (network.denyInternet === false) allowed.push({ ...written('denyInternet', '*') })
  const udp = each('udp', network.udp)
  const loopback = each('allowLoopback', network.allowLoopback)
  const publish = each('publish', network.publish)
  // Who lists hosts means these, not all that a profile shares.
  if ([allowed, udp, loopback, publish].some((list) => list.length > 0) || network.updatable) policy.shareHost = false
  if (network.dangerouslyShareHostNetwork !== undefined) policy.shareHost = network.dangerouslyShareHostNetwork
  if (network.innerLoopback !== undefined) policy.innerLoopback = network.innerLoopback
  if (network.updatable !== undefined) policy.updatable = network.updatable
  policy.allowed.push(...allowed)
  policy.denied.push(...each('deniedHosts', network.deniedHosts))
  policy.udp.push(...udp)
  policy.loopback.push(...loopback)
  policy.publish.push(...publish)
  policy.unixSockets.push(...each('allowUnixSockets', network.allowUnixSockets))
  mergePorts(policy, layer, before)
  if (network.maxConnections !== undefined) policy.maxConnections = written('maxConnections', network.maxConnections)
  if (network.onDenied !== undefined) policy.onDenied = written('onDenied', network.onDenied)
}

/**
 * What holds with a narrowing layer comes to no more than the ports of now: a later layer opens none to it, and closes what it
 * closes to hosts without a port, unless a layer below (`before`) named host and port.
 */
function mergePorts(policy: NetworkPolicy, layer: NetworkLayer, before: AllowedBy[]): void {
  const { allowedPorts, allowedHosts, denyInternet } = layer.network
  const narrow = layer.narrows === true && (policy.allowedPorts === undefined || policy.portsNarrow === true)
  const keep = (most: number[]) => (allowedPorts ? most.filter((port) => allowedPorts.includes(port)) : most)
  policy.allowed = policy.allowed.map((one) => (one.most ? { ...one, most: keep(one.most) } : one))
  if (allowedPorts) policy.allowedPorts = { value: allowedPorts, ...placeOf(layer, 'network.allowedPorts') }
  if (layer.narrows && (allowedHosts || allowedPorts || denyInternet === false))
    policy.allowed = policy.allowed.map((one) => {
      const most = isNamed(one.value, before) ? undefined : portsOf(one, policy)
      return most === undefined ? one : { ...one, most }
    })
  if (allowedPorts) policy.portsNarrow = narrow
}

/** With its port, by the layers below. */
function isNamed(value: AllowedHost, before: AllowedBy[]): boolean {
  const { pattern, ports } = readEntry(value)
  const known = before.filter(({ most }) => !most).map((one) => readEntry(one.value))
  const holders = known.filter((one) => covers(one.pattern, pattern, () => false))
  return ports?.every((port) => holders.some((one) => one.ports?.includes(port))) ?? false
}

/** Which ports an allowed host comes to; undefined: any. */
export function portsOf(
  { value, most }: AllowedBy,
  { allowedPorts, portsNarrow }: NetworkPolicy
): number[] | undefined {
  const { ports, inspect } = readEntry(value)
  const named = most ?? ports
  if (named || !allowedPorts || !inspect || !portsNarrow) return named ?? usualPorts(inspect, allowedPorts?.value)
  return usualPorts(inspect, undefined)?.filter((port) => allowedPorts.value.includes(port))
}

type HostList = keyof typeof LISTS

/** Of a shared network, what a narrowing layer left of it: gone when a later one ends the sharing, which was all it came from. */
function carve(policy: NetworkPolicy, network: NetworkLayer['network']): void {
  if (policy.shareHost || policy.carved) {
    const { lists = [], innerLoopback = policy.innerLoopback } = policy.carved ?? {}
    policy.carved = { lists: [...lists, ...HOST_LISTS.filter((key) => network[key])], innerLoopback }
    if (network.denyInternet === false) policy.carved.lists.push('allowedHosts')
  }
  keepNamed(policy, network)
}

function uncarve(policy: NetworkPolicy): void {
  if (!policy.carved) return
  for (const key of policy.carved.lists) policy[LISTS[key]] = []
  policy.innerLoopback = policy.carved.innerLoopback
  delete policy.carved
}

const LISTS = { allowedHosts: 'allowed', udp: 'udp', allowLoopback: 'loopback', publish: 'publish' } as const

const HOST_LISTS = Object.keys(LISTS) as HostList[]

/** Of a list that a narrowing layer has, what it names stays; it named nothing that was not there (policy/narrow.ts). */
function keepNamed(policy: NetworkPolicy, network: NetworkLayer['network']): void {
  for (const [key, list] of Object.entries(LISTS)) {
    if (network[key as keyof typeof LISTS] === undefined) continue
    policy[list] = []
    policy.shareHost = false
  }
  if (network.allowUnixSockets) policy.unixSockets = []
}
