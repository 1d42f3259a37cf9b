import { QiError } from '../errors.js'
import { ownDirectory } from '../host/cwd.js'
import type { SandboxConfig } from '../policy/index.js'
import { checkId, freePath } from './ctl-server.js'
import type { Jail } from './jail.js'
import type { Prepared } from './prepare.js'
import { handOut, homeOf, launch, type MonitorOverride, prepared, type SpawnOptions, start } from './spawn.js'

export interface LauncherOptions extends Omit<SpawnOptions, 'signal' | 'id'> {
  /** How many jails are kept built, up to the payload's exec. Default 0: each is built when it is asked for. */
  pool?: number
}

/** What is one jail's own. */
export type HandOutOptions = Pick<SpawnOptions, 'signal' | 'id'>

/** Descriptors and processes that do nothing but wait. */
const MOST = 64

/** Building a jail takes a processor for some milliseconds: those in which a payload that was let go starts are its own. */
const REFILL_AFTER_MS = 5

interface Idle {
  jail: Jail
  prepared: Prepared
}

/**
 * Launches one command under one configuration, again and again. With a pool most of that is done ahead of time: a jail
 * stands, every layer verified, and waits before the payload's exec. Each is handed out once, and only while everything that its
 * plan depends on is as it was; else it is thrown away and another is built. Idle jails do not keep the process alive, and end with it.
 */
export class Launcher implements AsyncDisposable {
  private idle: Idle[] = []
  private filling: Promise<void> | undefined
  private refill: NodeJS.Timeout | undefined
  private closed = false

  /** @internal Use `prepare`. */
  constructor(
    private readonly config: SandboxConfig,
    private readonly argv: readonly string[],
    private readonly options: LauncherOptions & MonitorOverride
  ) {}

  /** How many jails wait now. */
  get ready(): number {
    return this.idle.length
  }

  /**
   * As spawnSandboxed. Time limits begin here, and so does the audit trail.
   * @throws QiError with a stable code (docs/errors.md); QI_CLOSED after `close`.
   */
  async spawn({ signal, id }: HandOutOptions = {}): Promise<Jail> {
    if (checkId(id) !== undefined) await freePath(id as string) // before anything of the payload runs
    if (this.closed) throw new QiError('QI_CLOSED', 'this launcher is closed', { hint: 'prepare another' })
    signal?.throwIfAborted()
    this.idle[0]?.jail.wake() // while we look whether it will do
    const options = { ...this.options, ...(signal ? { signal } : {}), ...(id === undefined ? {} : { id }) }
    const idle = this.take()
    if (idle) return this.letGo(idle, options)
    try {
      return await launch(this.look(), options)
    } finally {
      this.fillSoon(0) // nobody waited: the next to ask may find one
    }
  }

  private async letGo({ jail, prepared }: Idle, options: SpawnOptions): Promise<Jail> {
    jail.go()
    this.fillSoon(REFILL_AFTER_MS)
    try {
      return await handOut(jail, prepared, options)
    } catch (error) {
      // Killed while it waited, and nobody had heard of it yet: its payload never ran.
      if (!(error instanceof QiError) || error.code !== 'QI_MONITOR_LOST') throw error
      options.signal?.throwIfAborted()
      return launch(this.look(), options)
    }
  }

  private fillSoon(ms: number): void {
    if (this.refill && ms > 0) return
    clearTimeout(this.refill)
    this.refill = setTimeout(() => {
      this.refill = undefined
      this.fill().catch(() => {}) // the next spawn meets what is wrong itself, and says it
    }, ms).unref()
  }

  /** @internal Resolves when the pool is full; rejects as spawnSandboxed does. */
  fill(): Promise<void> {
    this.filling ??= this.build().finally(() => {
      this.filling = undefined
    })
    return this.filling
  }

  /** Ends the jails that wait; those that were handed out go on. */
  async close(): Promise<void> {
    this.closed = true
    clearTimeout(this.refill)
    await this.filling?.catch(() => {})
    await Promise.all(this.idle.splice(0).map(({ jail }) => discard(jail)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private look(): Prepared {
    return prepared(this.config, [...this.argv], this.options)
  }

  /** One that waits and is what a launch would come to now; those that no longer are that end. */
  private take(): Idle | undefined {
    for (let next = this.idle.shift(); next; next = this.idle.shift()) {
      if (next.prepared.holds?.()) return next
      void discard(next.jail)
    }
    return undefined
  }

  private async build(): Promise<void> {
    while (!this.closed && this.idle.length < (this.options.pool ?? 0)) {
      const now = this.look()
      const jail = start(now, this.options, true)
      try {
        await jail.held()
      } catch (error) {
        await discard(jail)
        throw error
      }
      const one = { jail, prepared: now }
      this.idle.push(one)
      void jail.exited.then(() => {
        this.idle = this.idle.filter((other) => other !== one)
      })
    }
  }
}

async function discard(jail: Jail): Promise<void> {
  await jail[Symbol.asyncDispose]()
  for (const stream of [jail.stdin, jail.stdout, jail.stderr]) stream?.destroy()
}

/**
 * Resolves `config` for `argv` once; the launcher it gives starts that command in a new jail each time. The environment and
 * working directory are those of now. Resolves when the pool, if one is asked for, is full.
 *
 *     await using launcher = await prepare({ profile: 'strict' }, ['node', 'server.js'], { pool: 2 })
 *     const jail = await launcher.spawn()
 *
 * @throws QiError with a stable code (docs/errors.md).
 */
export async function prepare(
  config: SandboxConfig,
  argv: readonly string[],
  options: LauncherOptions & MonitorOverride = {}
): Promise<Launcher> {
  const { pool = 0, env = process.env, cwd = ownDirectory() } = options
  if (!Number.isSafeInteger(pool) || pool < 0 || pool > MOST) {
    throw new QiError('QI_CONFIG', `pool = ${String(pool)}: is no number from 0 to ${MOST}`, {
      field: 'pool',
      value: pool,
      hint: 'give how many jails may wait at a time'
    })
  }
  const settled = { ...options, env: { ...env }, cwd, home: homeOf(env) }
  const { profile } = prepared(config, [...argv], settled)
  if (pool > 0 && profile.enforcement === 'permissive') {
    throw new QiError('QI_CONFIG', 'pool: a permissive jail is not built ahead of time', {
      field: 'pool',
      value: pool,
      hint: 'what it hides depends on the mounts of the host at its launch; leave `pool` out'
    })
  }
  const launcher = new Launcher(structuredClone(config), [...argv], settled)
  await launcher.fill()
  return launcher
}
