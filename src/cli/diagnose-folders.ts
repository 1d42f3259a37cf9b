import { mkdtempSync, readFileSync, realpathSync, rmdirSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HostFacts } from '../host/facts.js'
import { type Mount, readMounts } from '../host/mounts.js'
import { isWithin } from '../profile/fs.js'
import { place } from './run.js'
import { attempt, failed, profileOf, type Trial } from './trial.js'

/** Whether a folder of the caller's can be granted, as far as its file system decides that. */
export interface FolderFinding {
  path: string
  /** Of the file system. */
  type: string
  /** By granting it to a jail; `not needed`: an ordinary user's files keep their owner without. */
  idMapped: 'yes' | 'no' | 'not needed' | 'unknown'
  /** Why `no` or `unknown`. */
  reason?: string
}

/** One for each file system that projects are likely to lie on: the working directory's, home's, that of temporary files. */
export async function diagnoseFolders(facts: HostFacts): Promise<FolderFinding[]> {
  const mounts = readMounts(readFileSync('/proc/self/mountinfo', 'utf8'))
  const found: FolderFinding[] = []
  const devices = new Set<number>()
  for (const written of [place().cwd, place().home, tmpdir()]) {
    const folder = look(written)
    if (!folder || devices.has(folder.device)) continue
    devices.add(folder.device)
    const mapped = facts.privileged
      ? outcome(await tryFolder(folder.path, facts))
      : ({ idMapped: 'not needed' } as const)
    found.push({ path: folder.path, type: typeOf(folder.path, mounts), ...mapped })
  }
  return found
}

function look(written: string): { path: string; device: number } | undefined {
  try {
    return { path: realpathSync(written), device: statSync(written).dev }
  } catch {
    return undefined // a home that is not there can be granted to nobody
  }
}

/** The innermost mount around it; of several at one place the last hides the others. */
function typeOf(path: string, mounts: Mount[]): string {
  const around = mounts.filter(({ point }) => isWithin(path, point))
  const inner = around.reduce<Mount | undefined>(
    (best, each) => (best && each.point.length < best.point.length ? best : each),
    undefined
  )
  return inner?.type ?? 'unknown'
}

/** Only a mount tells whether the file system has them, and a granted folder is such a mount. */
async function tryFolder(path: string, facts: HostFacts): Promise<Trial> {
  if (path !== realpathSync(tmpdir())) return tryGrant(path, facts)
  // The jail's own takes the place of /tmp, but folders in it can be granted.
  const made = mkdtempSync(join(path, 'qi-doctor-'))
  try {
    return await tryGrant(made, facts)
  } finally {
    rmdirSync(made)
  }
}

async function tryGrant(path: string, facts: HostFacts): Promise<Trial> {
  try {
    return await attempt(profileOf({ filesystem: { readOnlyPaths: [path] } }, facts, path))
  } catch (error) {
    return failed(error)
  }
}

function outcome({ ok, step, error }: Trial): Pick<FolderFinding, 'idMapped' | 'reason'> {
  if (ok) return { idMapped: 'yes' }
  return { idMapped: step === 'IdMapGrant' ? 'no' : 'unknown', ...(error === undefined ? {} : { reason: error }) }
}
