// What the DNS server of the test world answers. A name without an entry does not exist.
import { NET4, NET6 } from './layout.mjs'

const V4 = '203.0.113.10'
const V6 = '2001:db8::10'
const OTHER4 = '203.0.113.11'
const OTHER6 = '2001:db8::11'

const addresses = (count) => [V4, OTHER4, ...Array.from({ length: count - 2 }, (_, i) => `203.0.113.${i + 100}`)]

/** `odd`: an answer no honest server gives; see dns.mjs. */
export const ZONE = {
  'api.example.test': { A: [V4], AAAA: [V6], HTTPS: true, TXT: ['text'] },
  'v4.example.test': { A: [V4] },
  'v6.example.test': { AAAA: [V6] },
  'deny.example.test': { A: [OTHER4], AAAA: [OTHER6] },
  'other.example.test': { A: [OTHER4], AAAA: [OTHER6] },
  'shared.example.test': { A: [V4], AAAA: [V6] },
  'black.example.test': { A: ['203.0.113.99'] },
  // The first address swallows packets: Happy Eyeballs has to turn to the second.
  'happy.example.test': { A: [V4], AAAA: ['2001:db8::99'] },
  '*.wild.example.test': { A: [OTHER4], AAAA: [OTHER6] },
  'wild.example.test': { A: [OTHER4] },
  'www.example.test': { CNAME: 'alias.example.test' },
  'alias.example.test': { CNAME: 'api.example.test' },
  'to-denied.example.test': { CNAME: 'deny.example.test' },
  'to-unlisted.example.test': { CNAME: 'other.example.test' },
  'circle.example.test': { CNAME: 'circle2.example.test' },
  'circle2.example.test': { CNAME: 'circle.example.test' },
  'many.example.test': { A: addresses(60) },
  'huge.example.test': { A: addresses(150) },
  'changing.example.test': { ttl: 1, A: [V4] },
  'servfail.example.test': { odd: 'servfail' },
  'silent.example.test': { odd: 'silent' },
  'loop.example.test': { odd: 'loop' },
  'wrong-name.example.test': { odd: 'wrong-name' },
  'wrong-id.example.test': { odd: 'wrong-id' },
  'poison.example.test': { odd: 'poison', A: [V4] },
  'short.example.test': { odd: 'short' },
  'garbage.example.test': { odd: 'garbage' },
  'rebind-loopback.example.test': { A: ['127.0.0.1'], AAAA: ['::1'] },
  'rebind-mapped.example.test': { AAAA: ['::ffff:127.0.0.1'] },
  'rebind-unspecified.example.test': { A: ['0.0.0.0'], AAAA: ['::'] },
  'rebind-link-local.example.test': { A: ['169.254.7.7'], AAAA: ['fe80::1'] },
  'rebind-metadata.example.test': { A: ['169.254.169.254'], AAAA: ['fd00:ec2::254'] },
  'rebind-private.example.test': { A: ['10.1.2.3'] },
  'rebind-private2.example.test': { A: ['192.168.7.7'] },
  'rebind-nat64.example.test': { AAAA: ['64:ff9b::a01:203'] },
  'rebind-multicast.example.test': { A: ['224.0.0.1'] },
  'rebind-own.example.test': { A: [NET4.host], AAAA: [NET6.host] },
  'rebind-mixed.example.test': { A: ['10.1.2.3', V4] }
}

export function lookup(zone, name) {
  if (zone[name]) return zone[name]
  for (let rest = name; rest.includes('.'); ) {
    rest = rest.slice(rest.indexOf('.') + 1)
    if (zone[`*.${rest}`]) return zone[`*.${rest}`]
  }
  return undefined
}
