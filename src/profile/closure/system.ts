import { jailResolvConf } from '../../network/resolver.js'
import { walk } from '../fs.js'
import type { JailFile, Profile } from '../types.js'
import type { Closure } from './closure.js'

// The whole of /usr: it is public distribution content and no place for the caller's data. Anything narrower (the ELF
// dependencies of one binary) breaks dlopen(3), NSS, locales, and every child process the server starts.
const FOLDERS = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32']

// From /etc only what runtimes read and what holds no secret; each is a mount, so the list is short.
const ETC = [
  'ld.so.cache',
  'ssl/certs',
  'ssl/cert.pem',
  'ssl/openssl.cnf',
  'pki/tls/certs',
  'pki/tls/cert.pem',
  'pki/tls/openssl.cnf',
  'pki/ca-trust/extracted',
  'crypto-policies',
  'alternatives',
  'localtime',
  'timezone',
  'os-release',
  'mime.types',
  'protocols',
  'services'
]

/** What every process of this distribution expects, but for what `isHidden`. Links of a merged /usr stay links. */
export function systemBase(closure: Closure, isHidden: (real: string) => boolean = () => false): void {
  for (const path of [...FOLDERS, ...ETC.map((name) => `/etc/${name}`)]) {
    if (!isHidden(walk(closure.fs, path).real)) closure.grant(path, 'system', { optional: true })
  }
  // Store-based distributions: /usr holds next to nothing, everything leads into the store.
  const shell = walk(closure.fs, '/bin/sh').real
  const store = ['/nix/store', '/gnu/store'].find((s) => shell.startsWith(`${s}/`))
  if (store) closure.grant(store, 'system', { optional: true })
}

// Whole, as in FOLDERS: which of them a program loads is known only once it did.
const LIBRARIES = ['/lib', '/lib32', '/lib64', '/libx32'].flatMap((name) => [`/usr${name}`, name])

/** Without which no dynamically linked program starts, where the rest of the system is denied. */
export function systemLibraries(closure: Closure): void {
  for (const path of [...LIBRARIES, '/etc/ld.so.cache']) closure.grant(path, 'libraries', { optional: true })
}

/** The account, name service and host name files of the jail: its own, so that they tell nothing about the host. */
export function systemFiles(
  closure: Closure,
  identity: Profile['identity'],
  hostname: string,
  { mode, resolver, rules }: Profile['network']
): JailFile[] {
  const { uidInside: uid, gidInside: gid } = identity
  const { home } = closure.host
  const files: Record<string, string> = {
    passwd: `root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n${
      uid === 65534 ? '' : `jail:x:${uid}:${gid}::${home.replaceAll(':', '_')}:/bin/sh\n`
    }`,
    group: `root:x:0:\nnogroup:x:65534:\n${gid === 65534 ? '' : `jail:x:${gid}:\n`}`,
    hostname: `${hostname}\n`,
    'nsswitch.conf':
      'passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n',
    hosts: `127.0.0.1 localhost ${hostname}\n::1 localhost ip6-localhost ip6-loopback\n`,
    // Without rules nothing answers there: a lookup fails at once instead of after a timeout.
    'resolv.conf': resolver
      ? jailResolvConf(resolver, rules?.askMs !== undefined)
      : 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n'
  }
  const origin = 'system: private /etc'
  const out = Object.entries(files).map(([name, content]) => ({ path: `/etc/${name}`, content, mode: 0o444, origin }))
  return mode === 'dangerouslyShareHostNetwork' ? out.map((file) => hostCopy(closure, file)) : out
}

/** With the host's network, its resolver and host table too; copied, because they are often links into /run. */
function hostCopy(closure: Closure, file: JailFile): JailFile {
  if (file.path !== '/etc/hosts' && file.path !== '/etc/resolv.conf') return file
  const bytes = closure.fs.read(walk(closure.fs, file.path).real, 65536)
  if (!bytes) return file
  return { ...file, content: Buffer.from(bytes).toString('utf8'), origin: 'network.dangerouslyShareHostNetwork' }
}
