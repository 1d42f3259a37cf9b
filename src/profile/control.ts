import { QiError } from '../errors.js'
import { dirname, isWithin, join, type ReadFs, walk } from './fs.js'
import type { Deny, Grant } from './types.js'

/** Origin of the denies below: the launch makes the folder where it is missing, so that there is something to cover. */
export const CONTROL_ORIGIN = "mandatory: qi-jail's own control sockets"

/** Where the control sockets of running jails may lie, the first that can be had first (src/launch/ctl-folder.ts). */
export function controlFolders(env: Record<string, string | undefined>, uid: number): string[] {
  const runtime = env.XDG_RUNTIME_DIR
  const given = runtime?.startsWith('/') && !/[\0\n]/.test(runtime) ? [join(runtime, 'qi-jail')] : []
  return [...given, `/tmp/qi-jail-${uid}`]
}

/** Who reaches a control socket may widen what its jail may reach: no jail sees one, its own least of all. */
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
    const inside = grants.find((grant) => isWithin(grant.path, path))
    if (inside) throw refusal(inside, path)
    if (!grants.some((grant) => isWithin(path, grant.path))) return []
    return [{ path, kind: 'read', now: 'dir', origin: CONTROL_ORIGIN }]
  })
}

const refusal = (grant: Grant, path: string): QiError =>
  new QiError(
    'QI_PROTECTED_GRANT',
    `${grant.origin}: ${grant.path} lies in ${path}, where running jails are controlled`,
    {
      field: 'filesystem',
      value: grant.path,
      path: grant.path,
      hint: 'leave it out; this protection cannot be lifted'
    }
  )
