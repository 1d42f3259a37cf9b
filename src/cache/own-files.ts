import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { nativeFiles } from '../launch/locate.js'
import { type CacheLook, LookKind } from '../plan/layout.gen.js'
import { PACKAGE_DIR } from '../policy/profiles.js'
import { basename, dirname, isWithin, join } from '../profile/fs.js'
import { settledAt, wholeOf } from './observe.js'

const HERE = dirname(fileURLToPath(import.meta.url))
const { cache: loaded } = createRequire(fileURLToPath(import.meta.url))

/** Of modules that are loaded one by one, hundreds, nobody would look at all again. */
export const isBundled = (): boolean => basename(HERE) === 'bundle'

/**
 * What made the plan, and what would take it: another version of either is another plan. Nothing where some of it has changed
 * since this process was started, which may have loaded what was there before.
 */
export function ownFiles(): CacheLook[] | undefined {
  const modules = Object.keys(loaded).filter((file) => isWithin(file, PACKAGE_DIR))
  const files = [...new Set([HERE, join(HERE, '../cli/main.js'), ...modules, ...nativeFiles(), process.execPath])]
  const looks = files.map(wholeOf)
  // A folder that was moved here brings files that have not changed for long.
  const around = [...new Set(files.flatMap(foldersOf))].map(wholeOf)
  const started = BigInt(Math.floor(performance.timeOrigin)) * 1_000_000n
  const isOlder = ({ kind, changed }: CacheLook) => kind === LookKind.Absent || settledAt(changed) <= started
  return [...looks, ...around].every(isOlder) ? looks : undefined
}

/** From the one around `file` to the package's. */
const foldersOf = (file: string): string[] => {
  const folder = dirname(file)
  return isWithin(folder, PACKAGE_DIR) ? [folder, ...foldersOf(folder)] : []
}
