import { accessSync, closeSync, constants, existsSync, openSync, readSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { QiError } from '../errors.js'
import type { NativeAddon } from './native.js'

/** A folder that may hold one build: the addon and, always beside it, the qi-monitor of the same version. */
interface Candidate {
  addon: string
  monitor: string
}

const HERE = fileURLToPath(import.meta.url)
const root = join(HERE, '../../..')
const require = createRequire(HERE)

let loaded: { addon: NativeAddon; monitor: string } | undefined

/** The native addon; loaded on first use, then shared. Throws QI_ADDON_MISSING or QI_MONITOR_MODE. */
export function loadAddon(): NativeAddon {
  loaded ??= locate(candidates())
  return loaded.addon
}

/** Absolute path of the qi-monitor that belongs to the loaded addon. Throws what loadAddon throws. */
export function monitorPath(): string {
  loadAddon()
  return (loaded as { monitor: string }).monitor
}

/** bin/qi-jail as a program of this machine (native/entry). Undefined where a build has none. Throws what loadAddon throws. */
export function entryPath(): string | undefined {
  const entry = join(dirname(monitorPath()), 'qi-jail')
  try {
    accessSync(entry, constants.X_OK)
    return entry
  } catch {
    return undefined
  }
}

/** A checkout's own build wins over a prebuild, so that what was just compiled is what runs. */
function candidates(): Candidate[] {
  const prebuilds = join(root, 'prebuilds', `${process.platform}-${process.arch}`)
  const addons = libcs().map((libc) => at(prebuilds, `qi-jail.${libc}.node`))
  return [at(join(root, 'build', 'Release'), 'qi_jail.node'), ...addons]
}

/** @internal All of them: whether one is there decides which is taken. */
export const nativeFiles = (): string[] => candidates().flatMap(({ addon, monitor }) => [addon, monitor])

const at = (folder: string, addon: string): Candidate => ({
  addon: join(folder, addon),
  monitor: join(folder, 'qi-monitor')
})

/** Exported for its tests. Tries each candidate in order and reports every failure, not only the last one. */
export function locate(tried: Candidate[]): { addon: NativeAddon; monitor: string } {
  const failures: string[] = []
  for (const { addon, monitor } of tried) {
    const missing = [addon, monitor].find((path) => !existsSync(path))
    if (missing !== undefined) {
      failures.push(`${missing}: does not exist`)
      continue
    }
    try {
      const native = require(addon) as NativeAddon
      assertExecutable(monitor)
      return { addon: native, monitor }
    } catch (error) {
      if (error instanceof QiError) throw error
      failures.push(`${addon}: ${(error as Error).message}`)
    }
  }
  const detail = failures.map((failure) => `\n  - ${failure}`).join('')
  throw new QiError('QI_ADDON_MISSING', `the native half of qi-jail cannot be loaded; tried:${detail}\n`, {
    hint: remedy(failures.join('\n')),
    path: tried[0]?.addon
  })
}

/** Some installers and archives lose the run bit; execve would then fail far from the cause. */
function assertExecutable(monitor: string): void {
  const { mode } = statSync(monitor)
  try {
    accessSync(monitor, constants.X_OK)
  } catch (cause) {
    throw new QiError('QI_MONITOR_MODE', `${monitor} is not executable: its mode is 0${(mode & 0o7777).toString(8)}`, {
      path: monitor,
      errno: (cause as NodeJS.ErrnoException).code,
      hint: `run: chmod 0755 ${monitor}`,
      cause
    })
  }
}

function remedy(failures: string): string {
  if (process.platform !== 'linux') return 'qi-jail is made of Linux kernel features and runs on Linux only'
  if (process.arch !== 'x64' && process.arch !== 'arm64')
    return `there is no build for ${process.arch}, only for x64 and arm64`
  if (/GLIBC(XX)?_[\d.]+' not found/.test(failures))
    return "the prebuild is newer than this host's C library: build from a checkout with npm start"
  if (/libstdc\+\+\.so/.test(failures))
    return 'install the C++ runtime: libstdc++6 (Debian, Ubuntu), libstdc++ (Fedora, Alpine)'
  if (/failed to map segment|Operation not permitted/.test(failures))
    return 'the package lies on a noexec mount: install it elsewhere'
  if (/wrong ELF class|invalid ELF header|file too short|cannot open shared object/.test(failures)) {
    return 'these files were installed for another platform: delete node_modules and install again on this one'
  }
  if (existsSync(join(root, 'CMakeLists.txt')))
    return 'this is a checkout that was not built: run bash scripts/setup.sh'
  return `the package came without its prebuild for ${process.platform}-${process.arch}: reinstall it`
}

/** Both, where Node cannot tell its own file: without /proc. */
function libcs(): string[] {
  try {
    return [interpreterIsMusl(process.execPath) ? 'musl' : 'glibc']
  } catch {
    return ['glibc', 'musl']
  }
}

/** The dynamic loader's name lies in the first page of an ELF executable; reading it beats a process report by far. */
function interpreterIsMusl(executable: string): boolean {
  const head = Buffer.alloc(4096)
  const fd = openSync(executable, 'r')
  try {
    readSync(fd, head, 0, head.length, 0)
  } finally {
    closeSync(fd)
  }
  return head.includes('/ld-musl-')
}
