import { QiError } from '../errors.js'
import { isWithin, join, normalize, type ReadFs, walk } from './fs.js'

/** What resolving knows of the caller's side of the host. */
export interface Host {
  fs: ReadFs
  /** Canonical home of the caller. */
  home: string
  /** Home as the environment spells it. */
  writtenHome: string
  /** Folder the payload is meant to work in: --cwd, else the caller's. Canonical. */
  cwd: string
  /** What relative paths in the configuration are relative to. */
  callerCwd: string
  env: Record<string, string | undefined>
  credentials: { written: string; real: string }[]
}

// Folders whose whole purpose is to hold secrets, and files of secrets in folders that hold other things as well. Nothing
// reaches them by accident: not through a link, not as part of a command's closure; only a grant that spells them out does.
const CREDENTIALS = [
  '.ssh',
  '.aws',
  '.azure',
  '.gnupg',
  '.kube',
  '.docker',
  '.cargo/credentials',
  '.cargo/credentials.toml',
  '.claude/.credentials.json',
  '.claude.json',
  '.codex/auth.json',
  '.config/BraveSoftware',
  '.config/microsoft-edge',
  '.config/vivaldi',
  '.config/git/credentials',
  '.config/gcloud',
  '.config/gh',
  '.config/op',
  '.config/rclone',
  '.gem/credentials',
  '.local/share/keyrings',
  '.m2/settings.xml',
  '.m2/settings-security.xml',
  '.thunderbird',
  '.password-store',
  '.mozilla',
  '.config/google-chrome',
  '.config/chromium',
  '.terraform.d',
  '.vault-token',
  '.netrc',
  '.git-credentials',
  '.pypirc'
]

export function createHost(input: Omit<Host, 'credentials' | 'home' | 'cwd'> & { cwd?: string }): Host {
  const { fs, writtenHome } = input
  if (!writtenHome.startsWith('/') || /[\0\n]/.test(writtenHome)) {
    throw new QiError('QI_PATH', `HOME = ${JSON.stringify(writtenHome)} is not an absolute path`, {
      field: 'env.HOME',
      value: writtenHome,
      hint: 'set HOME to your home folder'
    })
  }
  if (!input.callerCwd.startsWith('/') || /[\0\n]/.test(input.callerCwd)) {
    const value = input.callerCwd
    throw new QiError('QI_CWD', `the caller's working directory ${JSON.stringify(value)} is not an absolute path`, {
      field: 'options.cwd',
      value,
      hint: 'give an absolute path, or leave it out for process.cwd()'
    })
  }
  const home = walk(fs, writtenHome).real
  const credentials = CREDENTIALS.map((name) => {
    const written = join(writtenHome, name)
    return { written, real: walk(fs, written).real }
  })
  return { ...input, home, credentials, cwd: walk(fs, input.cwd ?? input.callerCwd).real }
}

/** `~`, `$CWD` and relative paths made absolute. `?` at the end ("if it exists") is taken off. */
export function expand(host: Host, written: string): { path: string; optional: boolean } {
  const optional = written.length > 1 && written.endsWith('?')
  const text = optional ? written.slice(0, -1) : written
  const path = text
    .replace(/^~(?=\/|$)/, () => host.writtenHome)
    .replace(/^\$(?:CWD\b|cwd\b|\{CWD\}|\{cwd\})(?=\/|$)/, () => host.cwd)
  return { path: path.startsWith('/') ? normalize(path) : join(host.callerCwd, path), optional }
}

/** Inside a credential folder, without the written path saying so. */
export function reachesCredentials(host: Host, written: string, real: string): boolean {
  return host.credentials.some(
    (c) => isWithin(real, c.real) && !isWithin(written, c.written) && !isWithin(written, c.real)
  )
}

/** `/`, home, what contains home or a credential folder, or lies inside one: no closure grants it. */
export function isPersonal(host: Host, real: string): boolean {
  if (isWithin(host.home, real)) return true
  return host.credentials.some((c) => isWithin(c.real, real) || isWithin(real, c.real))
}
