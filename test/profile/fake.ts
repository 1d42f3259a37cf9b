import type { HostFacts } from '../../src/host/facts.js'
import { parseConfig, type SandboxConfig } from '../../src/policy/config.js'
import type { LoadedProfile } from '../../src/policy/profiles.js'
import { type FileKind, normalize, type ReadFs } from '../../src/profile/fs.js'
import { type ResolveRequest, resolve } from '../../src/profile/resolve.js'

/** path -> content: a string or bytes is a file, `-> x` a link, null a folder, 'socket:' a socket. Parents come to be. */
export type Tree = Record<string, string | Uint8Array | null>

export const EXECUTABLE = (text: string): string => `+x${text}`

/** The first 20 bytes of an ELF program for x86-64, unless another e_machine is named. */
export function elf(machine = 62): Uint8Array {
  const head = Buffer.alloc(64)
  head.write('\x7fELF\x02\x01\x01', 'latin1')
  head.writeUInt16LE(machine, 18)
  return head
}

export function fakeFs(tree: Tree): ReadFs {
  const nodes = new Map<string, { kind: FileKind; mode: number; data: string | Uint8Array }>()
  for (const [path, content] of Object.entries(tree)) {
    for (let at = normalize(`${path}/..`); !nodes.has(at); at = normalize(`${at}/..`)) {
      nodes.set(at, { kind: 'dir', mode: 0o755, data: '' })
    }
    if (content === null) nodes.set(path, { kind: 'dir', mode: 0o755, data: '' })
    else if (typeof content !== 'string') nodes.set(path, { kind: 'file', mode: 0o755, data: content })
    else if (content.startsWith('-> ')) nodes.set(path, { kind: 'link', mode: 0o777, data: content.slice(3) })
    else if (content === 'socket:') nodes.set(path, { kind: 'socket', mode: 0o755, data: '' })
    else if (content.startsWith('+x')) nodes.set(path, { kind: 'file', mode: 0o755, data: content.slice(2) })
    else nodes.set(path, { kind: 'file', mode: 0o644, data: content })
  }
  // Follows links, as open(2) does.
  const follow = (path: string, left = 40): string => {
    let at = '/'
    for (const part of path.split('/').filter(Boolean)) {
      const next = normalize(`${at}/${part}`)
      const node = nodes.get(next)
      if (node?.kind !== 'link') at = next
      else if (left === 0) return '/ELOOP'
      else
        at = follow(normalize(String(node.data).startsWith('/') ? String(node.data) : `${at}/${node.data}`), left - 1)
    }
    return at
  }
  const parent = (path: string): string => normalize(`${follow(normalize(`${path}/..`))}/${path.split('/').at(-1)}`)
  return {
    lstat(path) {
      const node = nodes.get(path === '/' ? '/' : parent(path))
      return node && { uid: 0, ...node }
    },
    readlink: (path) => String(nodes.get(parent(path))?.data),
    read(path, max) {
      const node = nodes.get(follow(path))
      return node?.kind === 'file' ? Buffer.from(node.data).subarray(0, max) : undefined
    },
    list(path) {
      const dir = follow(path)
      const prefix = dir === '/' ? '/' : `${dir}/`
      return [...nodes]
        .filter(([p]) => p !== '/' && p.startsWith(prefix) && !p.slice(prefix.length).includes('/'))
        .map(([p, node]) => ({ name: p.slice(prefix.length), kind: node.kind }))
    }
  }
}

/** A small Debian with a person on it. */
export const BASE: Tree = {
  '/usr/bin/node': elf(),
  '/usr/bin/env': elf(),
  '/usr/bin/bash': elf(),
  '/usr/bin/sh': '-> bash',
  '/usr/bin/python3': '-> python3.11',
  '/usr/bin/python3.11': elf(),
  '/bin': '-> usr/bin',
  '/lib': '-> usr/lib',
  '/usr/lib/x': 'x',
  '/etc/ssl/certs': null,
  '/etc/ld.so.cache': 'x',
  '/etc/shadow': 'x',
  '/etc/localtime': '-> /usr/share/zoneinfo/UTC',
  '/usr/share/zoneinfo/UTC': 'x',
  '/etc/resolv.conf': '-> ../run/resolv.conf',
  '/run/resolv.conf': 'nameserver 9.9.9.9\n',
  '/home/u/.ssh/id_ed25519': 'secret',
  '/tmp': null,
  '/opt/qi-jail/package.json': '{"name":"qi-jail"}'
}

export const PLAIN: HostFacts = {
  arch: 'x64',
  kernel: '6.1',
  uid: 501,
  gid: 502,
  privileged: false,
  landlockAbi: 2,
  seccomp: { userNotif: true, waitKillableRecv: true },
  netnsCookie: true,
  mountSetattr: true,
  cgroup: { version: 2, mount: '/sys/fs/cgroup', source: 'none', controllers: [], reason: 'a test has none' }
}
export const ROOT: HostFacts = { ...PLAIN, uid: 0, gid: 0, privileged: true }

export function profileOf(config: SandboxConfig = {}): LoadedProfile {
  const { profile: _none, ...checked } = parseConfig(config)
  return { name: 'test', purpose: 'a test', layers: [{ origin: 'test.yaml', config: checked }], files: [] }
}

export interface Given extends Partial<ResolveRequest> {
  tree?: Tree
  facts?: HostFacts
}

/** Resolves on the fake host; everything has a default. */
export function resolveOn({ tree = {}, facts = PLAIN, ...request }: Given = {}) {
  const defaults = {
    config: {},
    argv: ['node', 'server.js'],
    env: { PATH: '/usr/bin:/bin', HOME: '/home/u' },
    cwd: '/home/u/app',
    home: '/home/u',
    profile: profileOf(),
    packageDir: '/opt/qi-jail',
    random: () => 7
  }
  const app: Tree = { '/home/u/app/package.json': '{"name":"app"}', '/home/u/app/server.js': '' }
  return resolve({ ...defaults, fs: fakeFs({ ...BASE, ...app, ...tree }), ...request }, facts)
}

/** The code of the QiError that `act` throws; fails the test when it throws another thing or nothing. */
export function codeOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    const { code, message, stack } = error as { code?: string; message: string; stack?: string }
    if (code?.startsWith('QI_')) return code
    throw new Error(`not a QiError: ${message} ${stack}`)
  }
  return 'none'
}
