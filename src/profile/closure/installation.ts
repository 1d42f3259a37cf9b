import { ancestors, basename, dirname, isWithin, join, type Walk } from '../fs.js'
import { isPersonal } from '../host.js'
import { type Closure, isSystem } from './closure.js'
import { interpreterName } from './interpreters.js'

// Version managers whose commands need more than the prefix of the binary. `through`: where a command of theirs lies,
// `grant`: what it reads; both below home.
const MANAGERS: { through: string; grant: string[]; when?: RegExp }[] = [
  { through: '.volta/bin', grant: ['.volta/bin', '.volta/tools', '.volta/hooks.json'] },
  { through: '.asdf', grant: ['.asdf', '.tool-versions', '.asdfrc'] },
  { through: '.local/share/mise', grant: ['.local/share/mise', '.local/bin/mise', '.config/mise'] },
  { through: '.pyenv/shims', grant: ['.pyenv'] },
  { through: '.rbenv/shims', grant: ['.rbenv'] },
  { through: '.nodenv/shims', grant: ['.nodenv'] },
  {
    through: '.cargo/bin',
    grant: ['.cargo/bin', '.rustup/toolchains', '.rustup/settings.toml'],
    when: /\/(rustup|cargo|rustc|rustdoc|rustfmt|clippy-driver|cargo-[a-z]+)$/
  },
  { through: '.bun/bin', grant: ['.bun/bin', '.bun/install/global'] }
]

/** The command itself and what it is installed with. */
export function installation(closure: Closure, file: string, found: Walk, isElf: boolean, steered: boolean): void {
  const places = [file, ...found.links.map((l) => l.path), found.real]
  managers(closure, places, steered)
  const prefix = prefixOf(found.real)
  if (isElf && prefix && !isSystem(found.real) && !isPersonal(closure.host, prefix)) {
    if (looksInstalled(closure, prefix, interpreterName(found.real))) {
      // An earlier payload can choose among the installations of this host, not turn another folder into one.
      closure.grant(prefix, 'interpreter')
    } else {
      // Not plain `libraries`, as those of the system are called: this may be the lib/ of a project with a bin/.
      for (const name of ['lib', 'lib64'])
        closure.grant(join(prefix, name), 'libraries beside the command', { optional: true, steered })
    }
  }
  const brew = ancestors(found.real).find((dir) => basename(dir) === '.linuxbrew')
  if (brew) closure.grant(brew, 'interpreter', { optional: true, steered })
  closure.link(found, 'command')
  if (!closure.covers(found.real)) closure.grant(file, 'command', { steered })
}

/** A prefix of Python known from elsewhere (pyvenv.cfg). Only when it is what it claims to be. */
export function grantPrefix(closure: Closure, prefix: string, origin: string): void {
  if (!isSystem(prefix) && looksInstalled(closure, prefix, 'python')) closure.grant(prefix, origin, { optional: true })
}

function managers(closure: Closure, places: string[], steered: boolean): void {
  const { home } = closure.host
  for (const { through, grant, when } of MANAGERS) {
    if (!places.some((p) => isWithin(p, join(home, through)) && (when === undefined || when.test(p)))) continue
    for (const name of grant) closure.grant(join(home, name), `version manager ${through}`, { optional: true, steered })
  }
}

/** `/opt/node/bin/node` -> `/opt/node` */
function prefixOf(real: string): string | undefined {
  const dir = dirname(real)
  return /^(bin|sbin|libexec)$/.test(basename(dir)) && dirname(dir) !== '/' ? dirname(dir) : undefined
}

// The interpreter's own library next to its bin/, by a file or folder that only comes with it. An earlier payload can name
// any folder of the host (a link, pyvenv.cfg): a project that happens to have a lib/server, or a project that is itself a
// virtual environment, is no installation.
const LIBRARIES: Record<string, { folder: RegExp; holds: RegExp }> = {
  python: { folder: /^(python|pypy)3?[0-9.]*t?$/, holds: /^os\.py$/ },
  node: { folder: /^node_modules$/, holds: /^(npm|corepack)$/ },
  ruby: { folder: /^ruby$/, holds: /^[0-9]+\.[0-9]/ },
  perl: { folder: /^perl5$/, holds: /^[0-9]/ },
  java: { folder: /^server$/, holds: /^libjvm\.so$/ }
}

function looksInstalled(closure: Closure, prefix: string, interpreter: string): boolean {
  const library = Object.hasOwn(LIBRARIES, interpreter) ? LIBRARIES[interpreter] : undefined
  if (!library) return false
  const names = (dir: string) => closure.fs.list(dir).map((entry) => entry.name)
  return ['lib', 'lib64'].some((lib) =>
    names(join(prefix, lib))
      .filter((name) => library.folder.test(name))
      .some((name) => names(join(prefix, lib, name)).some((inside) => library.holds.test(inside)))
  )
}
