import { readdirSync, readFileSync } from 'node:fs'
import type { Jail } from '../launch/jail.js'
import { type Peaks, raise } from './observe.js'

const EVERY_MS = 100

/** Looks at a jail until it ends, ten times a second; shorter peaks are what the headroom of a limit is for. */
export function watchPeaks(jail: Jail): { peaks: Peaks; stop(): void } {
  const peaks: Peaks = {}
  let isLooking = false
  const look = async (): Promise<void> => {
    if (isLooking) return
    isLooking = true
    try {
      raise(peaks, { ...figures(await jail.stats()), ...descriptors(jail.pid) })
    } catch {
      // It ended between two looks.
    } finally {
      isLooking = false
    }
  }
  void look()
  const timer = setInterval(() => void look(), EVERY_MS)
  timer.unref()
  return { peaks, stop: () => clearInterval(timer) }
}

function figures({ memory, processes }: Awaited<ReturnType<Jail['stats']>>): Peaks {
  const bytes = memory.peak ?? memory.current
  const count = processes.peak ?? processes.current
  return { ...(bytes === undefined ? {} : { memory: bytes }), ...(count === undefined ? {} : { processes: count }) }
}

/** The most that one process of the tree has open; RLIMIT_NOFILE is counted for each. */
function descriptors(root: number): Peaks {
  const counts = tree(root).map((pid) => open(pid))
  const most = Math.max(0, ...counts)
  return most > 0 ? { descriptors: most } : {}
}

const MAX_PROCESSES = 256

/** Children that were orphaned hang elsewhere; they are not looked for. */
function tree(root: number): number[] {
  const pids = [root]
  for (let i = 0; i < pids.length && pids.length < MAX_PROCESSES; i++) {
    const pid = pids[i]
    for (const tid of list(`/proc/${pid}/task`)) pids.push(...numbers(`/proc/${pid}/task/${tid}/children`))
  }
  return pids
}

const open = (pid: number): number => list(`/proc/${pid}/fd`).length

function list(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

function numbers(path: string): number[] {
  try {
    return readFileSync(path, 'utf8')
      .split(' ')
      .map(Number)
      .filter((pid) => pid > 0)
  } catch {
    return []
  }
}
