import { once } from 'node:events'
import { readdirSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { QiError } from '../errors.js'
import { trustedFolders } from './ctl-folder.js'
import { changed, shownRules } from './ctl-network.js'
import type { CtlAnswer, CtlRequest, CtlStatus } from './ctl-server.js'
import { LineSplitter } from './lines.js'
import { type JailStats, readStats } from './stats.js'

const SUFFIX = '.sock'
const MAX_ANSWER = 4 << 20
const PATIENCE_MS = 10_000

/** Somebody listens there. What a process left that was killed is removed. */
export async function isAlive(path: string): Promise<boolean> {
  const socket = await open(path)
  socket?.destroy()
  return socket !== undefined
}

async function open(path: string): Promise<Socket | undefined> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return socket
  } catch (error) {
    socket.destroy()
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ECONNREFUSED') rmSync(path, { force: true })
    if (code === 'ECONNREFUSED' || code === 'ENOENT') return undefined
    throw new QiError('QI_CONTROL', `cannot reach ${path}: ${code}`, {
      path,
      cause: error,
      ...(code ? { errno: code } : {})
    })
  }
}

/** @throws QiError QI_CONTROL, or what the jail made of it. */
export async function request(id: string, what: CtlRequest): Promise<Extract<CtlAnswer, { ok: true }>> {
  const answer = await ask(id, what)
  if (what.verb === 'allow' || what.verb === 'deny') return changeRules(id, what.verb, what.host, answer)
  return what.verb === 'rules' && answer.network
    ? { ok: true, rules: shownRules(answer.network.now ?? answer.network.atLaunch) }
    : answer
}

const TRIES = 20

/** A run without a host has told what its rules come from, and takes what we make of it, unless somebody was faster. */
async function changeRules(
  id: string,
  verb: 'allow' | 'deny',
  host: string,
  told: Extract<CtlAnswer, { ok: true }>
): Promise<Extract<CtlAnswer, { ok: true }>> {
  for (let tries = 0; ; tries++) {
    const { network, version } = told
    if (!network || version === undefined) return told
    const { change, state } = changed(network, verb, host)
    if (!change) return { ok: true }
    const rules = change.lines.join(';')
    try {
      return await ask(id, { verb: 'network', version, how: change.how, rules, network: state })
    } catch (error) {
      if (!(error instanceof QiError) || error.code !== 'QI_CONTROL_STALE' || tries === TRIES) throw error
    }
    told = await ask(id, { verb, host })
  }
}

async function ask(id: string, what: CtlRequest): Promise<Extract<CtlAnswer, { ok: true }>> {
  for (const folder of trustedFolders()) {
    const socket = id.includes('/') ? undefined : await open(join(folder, `${id}${SUFFIX}`))
    if (!socket) continue
    const answer = await exchange(socket, what)
    if (answer.ok) return answer
    throw new QiError(answer.error.code as `QI_${string}`, answer.error.message)
  }
  throw new QiError('QI_CONTROL', `no jail with the id ${JSON.stringify(id)} runs`, {
    field: 'id',
    value: id,
    hint: 'qi-jail ps lists those that do'
  })
}

async function exchange(socket: Socket, what: CtlRequest): Promise<CtlAnswer> {
  const lines = new LineSplitter(MAX_ANSWER)
  socket.setTimeout(PATIENCE_MS, () => socket.destroy())
  socket.write(`${JSON.stringify(what)}\n`)
  try {
    for await (const chunk of socket)
      for (const line of lines.push(chunk as Buffer)) return JSON.parse(line) as CtlAnswer
  } catch (cause) {
    throw new QiError('QI_CONTROL', 'the jail gave no answer', { cause })
  } finally {
    socket.destroy()
  }
  throw new QiError('QI_CONTROL', 'the jail gave no answer; it may have ended')
}

/** The jails of this user that run. */
export async function list(): Promise<CtlStatus[]> {
  const ids = trustedFolders().flatMap((folder) =>
    readdirSync(folder).flatMap((name) => (name.endsWith(SUFFIX) ? [name.slice(0, -SUFFIX.length)] : []))
  )
  const found = await Promise.all(
    [...new Set(ids)].map((id) =>
      request(id, { verb: 'status' }).then(
        ({ status }) => status,
        () => undefined
      )
    )
  )
  return found.flatMap((status) => status ?? []).sort((a, b) => (a.since < b.since ? -1 : 1))
}

/** The same with what each uses; without figures where one ended meanwhile, or did not answer. */
export async function listStats(): Promise<(CtlStatus & { stats?: JailStats })[]> {
  return Promise.all(
    (await list()).map(async (status) => {
      const answer = await request(status.id, { verb: 'stats' }).catch(() => undefined)
      const stats = readStats(answer?.stats)
      return stats ? { ...status, stats } : status
    })
  )
}
