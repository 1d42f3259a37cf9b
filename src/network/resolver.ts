import { type ReadFs, readText, walk } from '../profile/fs.js'
import { noHost, parseAddress } from './address.js'
import { parseName } from './name.js'
import type { HostRule, NetworkRules, Resolver } from './types.js'

// resolv.conf(5): MAXNS, and what glibc takes of a search list.
const MAX_NAMESERVERS = 3
const MAX_SEARCH = 6
const MAX_HOSTS = 256
const MAX_BYTES = 1 << 20

/** The host's own way of looking up names. Names of its table that a rule allows come first, the rest while there is room. */
export function hostResolver(fs: ReadFs, rules: NetworkRules): Resolver {
  const read = (path: string) => readText(fs, walk(fs, path).real, MAX_BYTES) ?? ''
  return { ...resolverConfig(read('/etc/resolv.conf')), hosts: hostTable(read('/etc/hosts'), rules) }
}

const wordsOf = (text: string): string[][] =>
  text.split('\n').map((line) =>
    line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/)
  )

function resolverConfig(text: string): Pick<Resolver, 'nameservers' | 'search'> {
  const lines = wordsOf(text)
  const nameservers = lines
    .filter(([key]) => key === 'nameserver')
    .flatMap(([, address]) => parseAddress(address ?? '')?.text ?? [])
  // The last of `search` and `domain` is the one that counts.
  const search = lines.filter(([key]) => key === 'search' || key === 'domain').at(-1) ?? []
  return {
    // Without any the C library asks the machine itself.
    nameservers: nameservers.length > 0 ? [...new Set(nameservers)].slice(0, MAX_NAMESERVERS) : ['127.0.0.1'],
    search: search.slice(1).flatMap(hostName).slice(0, MAX_SEARCH)
  }
}

/** Names of the host's own table: they may lead to private addresses. */
export function hostNames(fs: ReadFs): string[] {
  const text = readText(fs, walk(fs, '/etc/hosts').real, MAX_BYTES) ?? ''
  return [...new Set(wordsOf(text).flatMap(([, ...names]) => names.flatMap(hostName)))]
}

const hostName = (written: string): string[] => {
  const read = parseName(written)
  return 'value' in read ? [read.value] : []
}

// Told to the jail by its own /etc/hosts.
const LOCAL = /^(?:(?:.*\.)?localhost(?:\..*)?|ip6-.*)$/

function hostTable(text: string, rules: NetworkRules): Resolver['hosts'] {
  const entries = wordsOf(text).flatMap(([written, ...names]) => {
    const address = parseAddress(written ?? '')
    // Tables that block names lead them to 0.0.0.0.
    if (!address || noHost(address)) return []
    return names.flatMap(hostName).flatMap((name) => (LOCAL.test(name) ? [] : [{ address: address.text, name }]))
  })
  // A live update may allow further ones.
  const named = entries.filter(({ name }) => rules.hosts.some((rule) => rule.action === 'allow' && names(rule, name)))
  return [...new Set([...named, ...entries])].slice(0, MAX_HOSTS)
}

function names({ pattern }: HostRule, name: string): boolean {
  if (pattern.kind === 'name') return pattern.name === name
  if (pattern.kind === 'below') return name.endsWith(`.${pattern.name}`)
  return pattern.kind === 'any'
}

/** Whom the payload asks: the gateway, at the jail's own loopback, which may ask a person first. */
export function jailResolvConf({ search }: Resolver, asks: boolean): string {
  const domains = search.length > 0 ? `search ${search.join(' ')}\n` : ''
  return `nameserver 127.0.0.1\n${domains}options timeout:${asks ? 15 : 5} attempts:2\n`
}
