import { mkdirSync, statSync } from 'node:fs'
import { tryFolder, whyUntrusted } from '../launch/ctl-folder.js'
import { cacheFolder, secretFolder } from '../profile/control.js'
import { dirname, isWithin, join, nodeFs, walk } from '../profile/fs.js'
import type { Profile } from '../profile/types.js'

type Env = Record<string, string | undefined>

function isOurs(path: string): boolean {
  try {
    return statSync(path).uid === process.getuid?.()
  } catch {
    return false
  }
}

/** Of which kind the things in a folder of the cache are. */
export type Kind = 'plans' | 'code'

/** Where they are kept: made, where it can be; undefined without a place that is ours alone. */
export function makeKeptFolder(env: Env, home: string, kind: Kind): string | undefined {
  const own = cacheFolder(env, home)
  const [around, folder] = [dirname(own), join(own, kind)]
  try {
    if (isOurs(dirname(around))) mkdirSync(around, { mode: 0o700 }) // not its parents: who has none gets none
  } catch {
    // it is there, or nothing can be made in it either
  }
  // In another user's home (sudo that keeps HOME) what is ours would be in their way, and lead where they like.
  return isOurs(around) && tryFolder(own) === undefined && tryFolder(folder) === undefined ? folder : undefined
}

/**
 * What `resolveIt` says of a jail that is to be launched. One that sees the place of a cache which is not there yet would
 * see the plans that come to be in it: it is made first, to be covered, whether or not this launch uses it.
 */
export function covering(resolveIt: () => Profile, { env, home }: { env: Env; home: string }): Profile {
  const profile = resolveIt()
  const made = [env, {}].filter(
    (each) => isSeen(cacheFolder(each, home), profile) && makeKeptFolder(each, home, 'plans')
  )
  return made.length > 0 ? resolveIt() : profile
}

function isSeen(folder: string, { grants }: Profile): boolean {
  const { kind, real } = walk(nodeFs, folder)
  return kind === 'missing' && grants.some((grant) => isWithin(real, grant.path))
}

/** What `makeKeptFolder` makes, as it is. */
export function keptFolder(env: Env, home: string, kind: Kind): string | undefined {
  const own = cacheFolder(env, home)
  const folder = join(own, kind)
  return whyUntrusted(own) === undefined && whyUntrusted(folder) === undefined ? folder : undefined
}

/**
 * Makes the folder in which lies what signs what is kept (native/cache/secret.cc): where no variable leads and no jail
 * reaches (src/profile/control.ts), so that nothing which a payload leaves in a folder that later is the cache can pass for
 * ours. False where it cannot be had.
 */
export const makeSecretFolder = (): boolean => tryFolder(secretFolder(process.getuid?.() ?? 0)) === undefined
