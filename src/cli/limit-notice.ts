import type { Jail, JailExit } from '../launch/jail.js'
import type { ProfileLimits } from '../profile/types.js'
import { bytes, span } from './human.js'

interface Reached {
  limit: string
  value?: number
  limitValue?: number
  enforcedBy?: string
}

/** The last limit that an event said was exceeded. */
export function reachedLimit(jail: Jail): () => Reached | undefined {
  let last: Reached | undefined
  jail.on('event', ({ event, context: { parameters = {} } }) => {
    if (event.action !== 'limit.exceeded' || typeof parameters.limit !== 'string') return
    const number = (name: string) => (Number.isFinite(parameters[name]) ? { [name]: parameters[name] as number } : {})
    const by = typeof parameters.enforcedBy === 'string' ? { enforcedBy: parameters.enforcedBy } : {}
    last = { limit: parameters.limit, ...number('value'), ...number('limitValue'), ...by }
  })
  return () => last
}

/** Which limit ended it, for a person. */
export function limitSentences(exit: JailExit, limits: ProfileLimits, reached: Reached | undefined): string[] {
  const { terminationReason: reason, signal } = exit
  const by = reached?.enforcedBy ? ` (${reached.enforcedBy})` : ''
  if (reason === 'memory') {
    const limit = reached?.limitValue ?? limits.maxMemory
    const peak = reached?.value === undefined ? '' : `, peak ${bytes(reached.value)}`
    return [`ended: memory limit${limit === undefined ? '' : ` ${bytes(limit)}`}${peak}${by}`]
  }
  if (reason === 'pids') return [`ended: limit of ${limits.maxProcesses} processes and threads${by}`]
  if (reason === 'time') return [`stopped: the time limit of ${span(limits.maxExecutionTime ?? 0)} is over`]
  if (reason === 'killed-by-policy') return ['ended: a call that no rule lets live, or a supervisor that was lost']
  return reason === 'signal' && signal ? tooLittle(signal, limits, reached) : []
}

const CRASHES = ['SIGSEGV', 'SIGBUS', 'SIGABRT', 'SIGTRAP', 'SIGILL', 'SIGKILL']

/** A program that gets no memory while it starts has no better way to say so than to crash. */
function tooLittle(signal: string, { maxMemory, maxFileSize }: ProfileLimits, reached: Reached | undefined): string[] {
  if (signal === 'SIGXFSZ') return [`ended by SIGXFSZ: a file grew beyond ${bytes(reached?.limitValue ?? maxFileSize)}`]
  if (maxMemory === undefined || !CRASHES.includes(signal)) return []
  return [`ended by ${signal}: if it is the limit of ${bytes(maxMemory)}, it needs a larger --memory`]
}
