import { setTimeout as sleep } from 'node:timers/promises'
import type { Jail, JailExit } from '../launch/jail.js'
import { Recording } from './input.js'
import { nothing, type Observed, observe, raise } from './observe.js'
import { watchPeaks } from './peaks.js'

/** One run of the command, and what it did beyond what strict gives it. */
export interface Session {
  observed: Observed
  exit: JailExit
  /** Events that did not reach us: what they told is not in `observed`. */
  lost: number
}

/** Watches a jail to its end; `forMs` ends it as a terminal would, then for good. */
export async function watch(jail: Jail, forMs?: number): Promise<Session> {
  const observed = nothing()
  const events = (async () => {
    for await (const event of jail.events()) observe(observed, event)
  })()
  const { peaks, stop } = watchPeaks(jail)
  if (forMs !== undefined) void endAfter(jail, forMs)
  const exit = await jail.exited
  stop()
  await events
  raise(observed.peaks, peaks)
  return { observed, exit, lost: exit.lostEvents }
}

const GRACE_MS = 5000

async function endAfter(jail: Jail, forMs: number): Promise<void> {
  const isOver = jail.exited.then(() => true)
  const after = (ms: number) => Promise.race([isOver, sleep(ms, false, { ref: false })])
  if (await after(forMs)) return
  jail.kill('SIGTERM')
  if (!(await after(GRACE_MS))) jail.kill('SIGKILL')
}

/** Our standard input to the jail's, remembered; undefined where it is a terminal, which has to be the jail's own. */
export function recordInput(jail: Jail): Recording | undefined {
  if (!jail.stdin) return undefined
  const recording = new Recording()
  recording.tee(process.stdin, jail.stdin)
  void jail.exited.then(() => process.stdin.destroy())
  return recording
}
