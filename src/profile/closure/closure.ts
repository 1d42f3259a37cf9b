import { QiError } from '../../errors.js'
import { isWithin, type Walk, walk } from '../fs.js'
import { grantOf } from '../grants.js'
import { type Host, isPersonal } from '../host.js'
import type { Grant, JailSymlink } from '../types.js'

export interface GrantOptions {
  /** Derived from something an earlier payload may have written. */
  steered?: boolean
  /** Left out instead of refused when it may not be granted. */
  optional?: boolean
}

// World-readable distribution content. A plain mount: id-mapping it would let the payload of a root launch read what
// only root may (e.g. /etc/ssl/private).
const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/etc', '/nix/store', '/gnu/store']

export const isSystem = (real: string): boolean => SYSTEM.some((s) => isWithin(real, s))

/** Collects what the command needs besides what the policy names. Everything is read-only. */
export class Closure {
  readonly grants: Grant[] = []
  readonly symlinks: JailSymlink[] = []
  /** What the command starts as: itself, the interpreters of its "#!" lines, the commands it is given. Canonical. */
  readonly programs: string[] = []
  /** Arguments that are paths, made absolute should the working directory not be in the jail. */
  readonly pathArguments: { index: number; path: string }[] = []
  /** What is started in the place of the command, with the user's arguments from index `from` on. */
  instead?: { file: string; from: number }

  constructor(
    readonly host: Host,
    readonly explicit: Grant[]
  ) {}

  get fs() {
    return this.host.fs
  }

  /** Is it seen in the jail already? */
  covers(path: string): boolean {
    return grantOf(this.explicit, path) !== undefined || grantOf(this.grants, path) !== undefined
  }

  /** May a payload of this policy write it? Then an earlier one may have. `path` is canonical. */
  isWritable(path: string): boolean {
    return grantOf(this.explicit, path)?.access === 'rw'
  }

  /** May an earlier payload have written what `path` leads to, or a link on the way? */
  isSteered(path: string): boolean {
    const { real, links } = walk(this.fs, path)
    return [...links.map((l) => l.path), real].some((at) => this.isWritable(at))
  }

  /** Makes the links on the way exist in the jail. */
  link(found: Walk, origin: string): void {
    this.symlinks.push(...found.links.map((l) => ({ ...l, origin: `closure: ${origin}` })))
  }

  /** Grants what `path` leads to, read-only. False when there is nothing or (`optional`) it may not be. */
  grant(path: string, origin: string, options: GrantOptions = {}): boolean {
    const found = walk(this.fs, path)
    if (found.kind !== 'file' && found.kind !== 'dir') return false
    if (!this.covers(found.real)) {
      const refusal = this.refusal(path, found, options.steered ?? false)
      if (refusal && options.optional) return false
      if (refusal) throw refusal
      this.grants.push({
        path: found.real,
        access: 'ro',
        kind: found.kind,
        as: isSystem(found.real) ? 'other' : 'caller',
        optional: isSystem(found.real),
        origin: `closure: ${origin}`
      })
    }
    this.link(found, origin)
    return true
  }

  private refusal(written: string, found: Walk, steered: boolean): QiError | undefined {
    const { real } = found
    // Accounts like `daemon` have their home inside /usr; it is public all the same.
    if (isPersonal(this.host, real) && !isSystem(real)) {
      const hint = 'move the command into a folder of its own, or grant the path by name'
      return new QiError('QI_GRANT_TOO_WIDE', `the command needs ${real}, which is home or holds credentials`, {
        path: real,
        value: written,
        hint
      })
    }
    const planted = found.links.find((l) => this.isWritable(l.path))
    if (!steered && !planted) return undefined
    const through = planted ? `the link ${planted.path}` : written
    return new QiError(
      'QI_GRANT_LINK',
      `the command needs ${real} because of ${through}, which the payload may write`,
      {
        path: real,
        value: written,
        hint: `if that is meant, grant it by name: --ro ${real}`
      }
    )
  }
}
