import { lstatSync, mkdirSync, type Stats } from 'node:fs'
import { QiError } from '../errors.js'
import { controlFolders } from '../profile/control.js'

const uid = (): number => process.getuid?.() ?? 0

/** The folders that exist and that nobody else can have put something into. */
export const trustedFolders = (env: NodeJS.ProcessEnv = process.env): string[] =>
  controlFolders(env, uid()).filter((folder) => whyUntrusted(folder) === undefined)

/** The folder for a new control socket, made if need be. @throws QiError QI_CONTROL when none can be trusted. */
export function makeFolder(env: NodeJS.ProcessEnv = process.env): string {
  const tried: string[] = []
  for (const folder of controlFolders(env, uid())) {
    const reason = tryFolder(folder)
    if (reason === undefined) return folder
    tried.push(`${folder}: ${reason}`)
  }
  throw new QiError('QI_CONTROL', `no folder for the control socket (${tried.join('; ')})`, {
    field: 'XDG_RUNTIME_DIR',
    hint: 'set XDG_RUNTIME_DIR to a folder of your own'
  })
}

/** Makes `folder` with mode 0700. Returns why it cannot be trusted, or undefined. */
export function tryFolder(folder: string): string | undefined {
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EEXIST') return String(code)
  }
  return whyUntrusted(folder)
}

function look(folder: string): Stats | string {
  try {
    return lstatSync(folder, { throwIfNoEntry: false }) ?? 'does not exist'
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code)
  }
}

// In /tmp anybody may have taken the name first: a link, or a folder in which they may put a socket of theirs.
export function whyUntrusted(folder: string): string | undefined {
  const stat = look(folder)
  if (typeof stat === 'string') return stat
  if (!stat.isDirectory()) return 'is no folder'
  if (stat.uid !== uid()) return `belongs to uid ${stat.uid}`
  if ((stat.mode & 0o077) !== 0) return `has the mode 0${(stat.mode & 0o777).toString(8)}, not 0700`
  return undefined
}
