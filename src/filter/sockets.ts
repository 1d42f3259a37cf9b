/** The payload's system calls on sockets, with and without hosts that it may reach (native/monitor/host_sockets.h). */
import { Verdict } from '../plan/layout.gen.js'
import { always, anyOf, type Condition, clear, is, isNull, masked, never } from './conditions.js'
import { ask, EACCES, EPERM, type Group, refuse } from './group.js'
import { PLAIN_IOCTLS } from './ioctls.js'
import { SOCKET_OPTIONS } from './socket-options.js'

const MSG_FASTOPEN = 0x20000000

const [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK] = [1, 2, 10, 16]
const [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] = [1, 2, 5]
const [IPPROTO_TCP, IPPROTO_UDP] = [6, 17]
const socketType = (type: number) => masked(1, 0xf, type) // the rest is SOCK_CLOEXEC and SOCK_NONBLOCK

const inet = (type: number, protocol: number): Condition[] =>
  [AF_INET, AF_INET6].flatMap((family) => [0, protocol].map((p) => [is(0, family), socketType(type), is(2, p)]))

const TCP_SOCKETS = inet(SOCK_STREAM, IPPROTO_TCP)
const OTHER_SOCKETS: Condition[] = [
  [is(0, AF_UNIX), socketType(SOCK_STREAM)],
  [is(0, AF_UNIX), socketType(SOCK_SEQPACKET)],
  ...inet(SOCK_DGRAM, IPPROTO_UDP),
  [is(0, AF_NETLINK), is(2, 0)] // NETLINK_ROUTE: getifaddrs(3)
]

const FAMILIES_REASON =
  'Local stream, TCP, UDP and route-netlink sockets only: a datagram sent to a path cannot be judged, and the other ' +
  'families reach past the network namespace or are rarely reviewed kernel code.'

/** Where the network is the jail's own too: a standard stream may be a connection of the host's. */
const LISTED_OPTIONS: Group = {
  name: 'socket-options',
  reason:
    'Source routes, other interfaces, fast open and protocols on top would take a connection elsewhere than it was allowed.',
  calls: { setsockopt: SOCKET_OPTIONS.map(([level, name]) => [is(1, level), is(2, name)]) },
  otherwise: refuse(EPERM)
}

const COMMON: Group[] = [
  {
    name: 'sockets',
    reason: 'Using sockets that are already made and bound.',
    calls: always('accept accept4 getsockname getpeername getsockopt shutdown recvfrom recvmsg recvmmsg')
  },
  {
    name: 'connect',
    reason: 'The address is in memory another thread can change: qi-monitor copies it once and decides.',
    calls: never('connect'),
    otherwise: ask(Verdict.Connect, EACCES)
  },
  {
    name: 'bind',
    reason: 'The address is in memory another thread can change: qi-monitor copies it once and decides.',
    calls: never('bind'),
    otherwise: ask(Verdict.Bind, EACCES)
  },
  {
    name: 'send-to',
    reason: 'With an address, sending is judged like connecting; MSG_FASTOPEN is a connect in disguise.',
    calls: { sendto: [[isNull(4), clear(3, MSG_FASTOPEN)]] },
    otherwise: ask(Verdict.SendTo, EACCES)
  },
  {
    name: 'send-fast-open',
    reason: 'MSG_FASTOPEN is a connect in disguise.',
    calls: { sendmsg: [[clear(2, MSG_FASTOPEN)]], sendmmsg: [[clear(3, MSG_FASTOPEN)]] },
    otherwise: refuse(EPERM)
  },
  {
    name: 'ioctl',
    reason:
      'Everyday terminal, socket and file requests pass; qi-monitor refuses those that reach the caller’s terminal, or ' +
      'that a socket of the host (a standard stream is often one) would answer with the host’s interfaces.',
    calls: { ioctl: anyOf(1, Object.values(PLAIN_IOCTLS)) },
    otherwise: ask(Verdict.Ioctl)
  }
]

const withoutHosts = (sharedNetwork: boolean): Group[] => [
  {
    name: 'socket-families',
    reason: FAMILIES_REASON,
    calls: { socket: [...TCP_SOCKETS, ...OTHER_SOCKETS], socketpair: [...TCP_SOCKETS, ...OTHER_SOCKETS] },
    otherwise: refuse(EPERM)
  },
  {
    name: 'listen',
    reason: 'A socket of the host (a standard stream can be one) would listen there.',
    calls: never('listen'),
    otherwise: ask(Verdict.Listen, EACCES)
  },
  sharedNetwork
    ? { name: 'socket-options', reason: 'The network is the host’s.', calls: always('setsockopt') }
    : LISTED_OPTIONS
]

/** TCP sockets are the host's from birth, so each call that could take one somewhere else is looked at. */
const WITH_HOSTS: Group[] = [
  {
    name: 'socket-families',
    reason: `TCP sockets are made by qi-monitor. ${FAMILIES_REASON}`,
    calls: { socket: OTHER_SOCKETS },
    otherwise: ask(Verdict.Socket)
  },
  {
    name: 'socket-pairs',
    reason: FAMILIES_REASON,
    calls: { socketpair: OTHER_SOCKETS },
    otherwise: refuse(EPERM)
  },
  {
    name: 'listen',
    reason: 'A socket of the host that listens unbound is given a port on every address of the host.',
    calls: never('listen'),
    otherwise: ask(Verdict.Listen, EACCES)
  },
  LISTED_OPTIONS
]

export const socketGroups = (hostSockets: boolean, sharedNetwork: boolean): Group[] => [
  ...COMMON,
  ...(hostSockets ? WITH_HOSTS : withoutHosts(sharedNetwork))
]
