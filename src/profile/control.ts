import { QiError } from '../errors.js'
import { dirname, isWithin, join, type ReadFs, walk } from './fs.js'
import type { Deny, Grant } from './types.js'

/** Origin of the denies below: the launch makes the folder where it is missing, so that there is something to cover. */
export const CONTROL_ORIGIN = "mandatory: qi-jail's own control sockets"

/** Where the control sockets of running jails may lie, the first that can be had first (src/launch/ctl-folder.ts). */
export function controlFolders(env: Record<string, string | undefined>, uid: number): string[] {
  const runtime = env.XDG_RUNTIME_DIR
  const given = runtime?.startsWith('/') && !/[\0\n]/.test(runtime) ? [join(runtime, 'qi-jail')] : []
  return [...given, secretFolder(uid)]
}

/**
 * Where the secret lies that signs kept plans (src/cache/folder.ts). No variable leads there, and its parent is there before
 * any jail: one that is granted /run/user before this user has a folder in it would see what comes to be in that.
 */
export const secretFolder = (uid: number): string => `/tmp/qi-jail-${uid}`

/** Where plans are kept, and whatever else of ours can be made again (src/cache). */
export function cacheFolder(env: Record<string, string | undefined>, home: string): string {
  const given = env.XDG_CACHE_HOME
  return join(given?.startsWith('/') && !/[\0\n]/.test(given) ? given : join(home, '.cache'), 'qi-jail')
}

const CACHE_ORIGIN = "mandatory: qi-jail's own cache"

/** It holds arguments and variables of other runs. What is not there yet is kept from coming to be (denies.ts). */
export function cacheDenies(
  grants: Grant[],
  fs: ReadFs,
  env: Record<string, string | undefined>,
  home: string
): Deny[] {
  const folders = new Set([cacheFolder(env, home), cacheFolder({}, home)])
  return [...folders].flatMap((folder): Deny[] => {
    const found = walk(fs, folder)
    if (found.kind === 'missing') return []
    const inside = grants.find((grant) => isWithin(grant.path, found.real))
    if (inside) throw refusal(inside, found.real, 'where plans of other runs are kept')
    if (!grants.some((grant) => isWithin(found.real, grant.path))) return []
    return [{ path: found.real, kind: 'read', now: found.kind === 'dir' ? 'dir' : 'file', origin: CACHE_ORIGIN }]
  })
}

/**
 * Who reaches a control socket may widen what its jail may reach: no jail sees one, its own least of all. Who reads the
 * secret beside them makes plans for later launches.
 */
export function controlDenies(
  grants: Grant[],
  fs: ReadFs,
  env: Record<string, string | undefined>,
  uid: number
): Deny[] {
  const folders = new Set([
    ...controlFolders(env, uid),
    ...controlFolders({ XDG_RUNTIME_DIR: `/run/user/${uid}` }, uid)
  ])
  return [...folders].flatMap((folder): Deny[] => {
    const parent = walk(fs, dirname(folder))
    if (parent.kind !== 'dir') return []
    const path = join(parent.real, folder.slice(folder.lastIndexOf('/')))
    fs.lstat(path) // a kept plan that covers it holds while it is there
    const inside = grants.find((grant) => isWithin(grant.path, path))
    if (inside) throw refusal(inside, path, 'where running jails are controlled')
    if (!grants.some((grant) => isWithin(path, grant.path))) return []
    return [{ path, kind: 'read', now: 'dir', origin: CONTROL_ORIGIN }]
  })
}

const refusal = (grant: Grant, path: string, what: string): QiError =>
  new QiError('QI_PROTECTED_GRANT', `${grant.origin}: ${grant.path} lies in ${path}, ${what}`, {
    field: 'filesystem',
    value: grant.path,
    path: grant.path,
    hint: 'leave it out; this protection cannot be lifted'
  })
