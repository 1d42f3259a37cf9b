import { randomBytes } from 'node:crypto'
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { QiError } from '../errors.js'
import { isAlive } from './ctl-client.js'
import { makeFolder } from './ctl-folder.js'
import { type CtlRule, type NetworkState, ORIGIN, shownRules } from './ctl-network.js'
import type { Jail } from './jail.js'
import { LineSplitter } from './lines.js'
import type { JailStats } from './stats.js'

/** One line each way; `ok: false` has the error of the jail's method. */
export type CtlRequest =
  | { verb: 'status' | 'rules' | 'stats' | 'pause' | 'resume' | 'kill' }
  | { verb: 'allow' | 'deny'; host: string }
  /** To a run without a host (native/monitor/control_server.cc), which reads the members in this order. */
  | { verb: 'network'; version: number; how: 'add' | 'set'; rules: string; network: NetworkState }
export interface CtlStatus {
  id: string
  pid: number
  profile: string
  command: string
  /** ISO 8601 */
  since: string
}
export type CtlAnswer =
  | {
      ok: true
      status?: CtlStatus
      rules?: CtlRule[] | null
      stats?: JailStats
      /** Of a run without a host, in place of `rules`, and of what `allow` and `deny` would do: `network` does that. */
      network?: NetworkState
      version?: number
    }
  | { ok: false; error: { code: string; message: string } }

const MAX_LINE = 4096
const IDLE_MS = 10_000
const MAX_CLIENTS = 32
const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/
// sockaddr_un.sun_path without its NUL, unix(7).
const MAX_PATH = 107

export interface ControlAbout extends Omit<CtlStatus, 'id' | 'since'> {
  /** Origins of rules in the words of who wrote them. */
  tell?: (origin: string) => string
}

export interface ControlServer {
  readonly id: string
  close(): void
}

/** Lets `qi-jail ctl` reach a running jail, as long as it and this process live. @throws QiError QI_CONTROL */
export async function serveControl(
  jail: Jail,
  { tell, ...about }: ControlAbout,
  wanted?: string
): Promise<ControlServer> {
  const id = checkId(wanted) ?? randomBytes(4).toString('hex')
  const path = await freePath(id)
  const status = { id, ...about, since: new Date().toISOString() }
  const server = createServer((client) => serve(client, (request) => answer(jail, status, request, tell)))
  server.maxConnections = MAX_CLIENTS
  await listen(server, path)
  removeAtExit(path)
  const close = () => {
    leftovers.delete(path)
    server.close() // removes its socket
  }
  void jail.exited.then(close)
  return { id, close }
}

/** Where a jail of this id is to be reached. @throws QiError QI_CONTROL when it cannot be, or another one is. */
export async function freePath(id: string): Promise<string> {
  const path = join(makeFolder(), `${id}.sock`)
  if (Buffer.byteLength(path) > MAX_PATH)
    throw new QiError('QI_CONTROL', `the control socket's path is too long: ${path}`, {
      path,
      hint: 'choose a shorter id, or set XDG_RUNTIME_DIR to a shorter folder'
    })
  if (await isAlive(path))
    throw new QiError('QI_CONTROL', `another jail has the id ${id}`, { field: 'id', value: id, hint: 'choose another' })
  return path
}

const leftovers = new Set<string>()
let listening = false

/** One listener for all of them: a host may run many jails. */
function removeAtExit(path: string): void {
  if (!listening) {
    process.once('exit', () => {
      for (const left of leftovers) rmSync(left, { force: true })
    })
  }
  listening = true
  leftovers.add(path)
}

/** @throws QiError QI_CONTROL for one that is no file name of its own. */
export function checkId(id: string | undefined): string | undefined {
  if (id === undefined || ID.test(id)) return id
  throw new QiError('QI_CONTROL', `id = ${JSON.stringify(id)}: is no name for a jail`, {
    field: 'id',
    value: id,
    hint: 'write letters, digits, dot, dash and underscore, 64 at most'
  })
}

async function listen(server: Server, path: string): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, resolve)
    })
    chmodSync(path, 0o600)
  } catch (cause) {
    server.close()
    const errno = (cause as NodeJS.ErrnoException).code
    throw new QiError('QI_CONTROL', `cannot make the control socket ${path}: ${errno}`, {
      path,
      cause,
      ...(errno ? { errno } : {})
    })
  }
  server.on('error', () => {}) // it stays as it is: what cannot be accepted is the client's loss
  server.unref()
}

function serve(client: Socket, respond: (request: unknown) => Promise<CtlAnswer>): void {
  const lines = new LineSplitter(MAX_LINE)
  client.setTimeout(IDLE_MS, () => client.destroy())
  client.on('error', () => client.destroy())
  client.unref()
  client.on('data', async (chunk: Buffer) => {
    try {
      for (const line of lines.push(chunk)) client.write(`${JSON.stringify(await respond(JSON.parse(line)))}\n`)
    } catch {
      client.destroy()
    }
  })
}

async function answer(jail: Jail, status: CtlStatus, request: unknown, tell: ControlAbout['tell']): Promise<CtlAnswer> {
  const { verb, host } = (request ?? {}) as { verb?: unknown; host?: unknown }
  try {
    if (verb === 'status') return { ok: true, status }
    if (verb === 'rules') return { ok: true, rules: shownRules(jail.networkRules, tell) }
    if (verb === 'stats') return { ok: true, stats: await jail.stats() }
    if (verb === 'pause') await jail.pause()
    else if (verb === 'resume') await jail.resume()
    else if (verb === 'kill') jail.kill('SIGKILL')
    else if (verb === 'allow') await jail.allowHost(host as string, ORIGIN)
    else if (verb === 'deny') await jail.denyHost(host as string, ORIGIN)
    else throw new QiError('QI_CONTROL', `unknown request ${JSON.stringify(verb)}`)
    return { ok: true }
  } catch (error) {
    const { code = 'QI_INTERNAL', message } = error as { code?: string; message: string }
    return { ok: false, error: { code, message } }
  }
}
