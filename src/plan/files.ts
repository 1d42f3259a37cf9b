import type { Profile } from '../profile/types.js'
import { FileAccess, type FileRule, type Plan, PlanFlag } from './layout.gen.js'

const READ = FileAccess.Read | FileAccess.Execute
const ALL = READ | FileAccess.Write

/** What qi-monitor compares a path with, to say which rule a refusal is by. The longest first: the innermost rule counts. */
export function fileRules(profile: Profile): Pick<Plan, 'fileRules'> {
  if (profile.audit.files === 'off') return { fileRules: [] }
  const rules = new Map<string, FileRule>()
  const add = (path: string, access: number, origin: string) => rules.set(path, { path, access, origin })
  add('/', 0, 'not granted')
  add('/proc', READ, "the jail's own /proc")
  add('/dev', READ, "the jail's own /dev")
  for (const name of ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'ptmx', 'pts', 'shm'])
    add(`/dev/${name}`, ALL, "the jail's own /dev")
  add(profile.tempDirectory, ALL, 'the private tmp')
  for (const { path, origin } of [...profile.symlinks, ...profile.files]) add(path, READ, origin)
  for (const { path, access, origin } of profile.wouldGrant ?? profile.grants)
    add(path, access === 'rw' ? ALL : READ, access === 'rw' ? origin : `${origin} (read-only)`)
  for (const { path, kind, origin } of profile.denies) add(path, kind === 'read' ? 0 : READ, origin)
  return { fileRules: [...rules.values()].sort((a, b) => Buffer.byteLength(b.path) - Buffer.byteLength(a.path)) }
}

export const fileFlags = ({ audit: { files }, wouldGrant }: Profile): Record<number, boolean> => ({
  [PlanFlag.ObserveFiles]: files !== 'off',
  [PlanFlag.ObserveAllFiles]: files === 'all',
  [PlanFlag.JudgeFiles]: files !== 'off' && wouldGrant !== undefined
})
