// Addresses of the test world. Documentation ranges (RFC 5737, 3849) stand for public hosts, the rest for what nobody
// in a jail should reach.
export const NET4 = { host: '198.51.100.2', server: '198.51.100.1' }
export const NET6 = { host: '2001:db8:1::2', server: '2001:db8:1::1' }
/**
 * The ends' own. A neighbour is asked for from one of these where what waits for the answer is not from an address of that
 * link, as with all that servers send: without them the way back would end once a few seconds went by in silence.
 */
export const LINK6 = { host: 'fe80::2', server: 'fe80::1' }
/** Further addresses of the host, beside those of the way out. */
export const OWN = ['198.51.100.77', '2001:db8:1::77']
export const PUBLIC = ['203.0.113.10', '203.0.113.11', '2001:db8::10', '2001:db8::11']
export const SPECIAL = ['10.1.2.3', '192.168.7.7', '169.254.169.254', '169.254.7.7', 'fd00:ec2::254']
export const ADDRESSES = [...PUBLIC, ...SPECIAL, '203.0.113.53', '2001:db8::53']
