import { ancestors, basename, dirname, isWithin, join, type Walk } from '../fs.js'
import { isPersonal } from '../host.js'
import { type Closure, isSystem } from './closure.js'
import { interpreterFor } from './interpreters.js'

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
    if (interpreterFor(found.real) && looksInstalled(closure, prefix)) {
      // An earlier payload can choose among the installations of this host, not turn another folder into one.
      closure.grant(prefix, 'interpreter')
    } else {
      for (const name of ['lib', 'lib64']) closure.grant(join(prefix, name), 'libraries', { optional: true, steered })
    }
  }
  const brew = ancestors(found.real).find((dir) => basename(dir) === '.linuxbrew')
  if (brew) closure.grant(brew, 'interpreter', { optional: true, steered })
  closure.link(found, 'command')
  if (!closure.covers(found.real)) closure.grant(file, 'command', { steered })
}

/** A prefix known from elsewhere (pyvenv.cfg). Only when it is what it claims to be. */
export function grantPrefix(closure: Closure, prefix: string, origin: string): void {
  if (!isSystem(prefix) && looksInstalled(closure, prefix)) closure.grant(prefix, origin, { optional: true })
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

/** Libraries of an interpreter next to its bin/: no project folder looks like that. */
function looksInstalled(closure: Closure, prefix: string): boolean {
  const isLibrary = (name: string) =>
    /^(python3\.|pypy|node_modules$|ruby$|perl5$|jvm\.cfg$|modules$|server$)/.test(name)
  return ['lib', 'lib64'].some((lib) => closure.fs.list(join(prefix, lib)).some((e) => isLibrary(e.name)))
}
