import { isIPv4, isIPv6 } from 'node:net'

export interface Address {
  /** In its shortest form (RFC 5952). */
  text: string
  bits: 32 | 128
  value: bigint
}

/** Only the spelling that has one meaning: no octal, hexadecimal or short IPv4, no zone of IPv6. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return { text, bits: 32, value: numeral4(text) }
  if (!isIPv6(text) || text.includes('%')) return undefined
  const short = new URL(`http://[${text}]/`).hostname.slice(1, -1)
  return { text: short, bits: 128, value: numeral6(short) }
}

const numeral4 = (text: string): bigint => text.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n)

// Of the short form, which has no dotted part.
function numeral6(short: string): bigint {
  const [front = '', back] = short.split('::')
  const words = (part: string): string[] => (part === '' ? [] : part.split(':'))
  const left = words(front)
  const right = words(back ?? '')
  const gap = Array.from({ length: 8 - left.length - right.length }, () => '0')
  return [...left, ...gap, ...right].reduce((sum, word) => sum * 65536n + BigInt(`0x${word}`), 0n)
}

/** The network that `address` lies in: the bits after the prefix taken off. */
export function networkOf({ bits, value }: Address, prefix: number): Address {
  const rest = BigInt(bits - prefix)
  const network = (value >> rest) << rest
  return { text: bits === 32 ? text4(network) : text6(network), bits, value: network }
}

const text4 = (value: bigint): string => [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.')

function text6(value: bigint): string {
  const words = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 65535n).toString(16))
  return new URL(`http://[${words.join(':')}]/`).hostname.slice(1, -1)
}

/** The IPv4 address inside ::ffff:a.b.c.d. */
export function mapped({ bits, value }: Address): string | undefined {
  return bits === 128 && value >> 32n === 0xffffn ? text4(value & 0xffffffffn) : undefined
}

type Block = [network: string, prefix: number]

/** All of the network `address`/`prefix` lies in one of the blocks. */
const inside = (address: Address, prefix: number, blocks: Block[]): boolean =>
  blocks.some(([network, length]) => {
    const base = parseAddress(network) as Address
    return base.bits === address.bits && prefix >= length && networkOf(address, length).value === base.value
  })

export const isLoopback = (address: Address, prefix: number = address.bits): boolean =>
  inside(address, prefix, [
    ['127.0.0.0', 8],
    ['::1', 128]
  ])

// biome-ignore format: a table
const NOBODY: [what: string, blocks: Block[]][] = [
  ['unspecified', [['0.0.0.0', 8], ['::', 128]]],
  ['multicast', [['224.0.0.0', 4], ['ff00::', 8]]],
  ['broadcast', [['255.255.255.255', 32]]]
]

/** What is no host's address, so that nothing can be connected to there. */
export const noHost = (address: Address, prefix: number = address.bits): string | undefined =>
  NOBODY.find(([, blocks]) => inside(address, prefix, blocks))?.[0]

// biome-ignore format: a table
const NOT_PUBLIC: Block[] = [
  ['10.0.0.0', 8], ['172.16.0.0', 12], ['192.168.0.0', 16], ['100.64.0.0', 10], ['169.254.0.0', 16], ['192.0.0.0', 24],
  ['192.0.2.0', 24], ['198.18.0.0', 15], ['198.51.100.0', 24], ['203.0.113.0', 24], ['240.0.0.0', 4],
  ['fc00::', 7], ['fe80::', 10], ['2001:db8::', 32]
]

/** For proposals: what is allowed in the end is judged address by address by qi-monitor (native/network/address.cc). */
export function isPublic(text: string): boolean {
  const ip = parseAddress(text)
  const address = ip && (mapped(ip) ? parseAddress(mapped(ip) as string) : ip)
  if (!address || isLoopback(address) || noHost(address)) return false
  return !inside(address, address.bits, NOT_PUBLIC)
}
