import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

interface Process {
  pid: number
  parent: number
  state: string
  /** With the pid it names a process for good: pids are used again. */
  key: string
}

/** Every process of the host. */
function processes(): Process[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.flatMap((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return [{ pid: Number(pid), parent: Number(fields[1]), state: fields[0] ?? '', key: `${pid}@${fields[19]}` }]
    } catch {
      return [] // ended meanwhile
    }
  })
}

/** `pid` and everything below it. */
export function tree(pid: number): Process[] {
  const all = processes()
  const found = all.filter((one) => one.pid === pid)
  for (const parent of found) found.push(...all.filter((one) => one.parent === parent.pid))
  return found
}

/** Children of this process that run qi-monitor: one for each jail. */
export function monitors(of = process.pid): Process[] {
  return processes().filter((one) => one.parent === of && commandLine(one.pid)[0] === 'qi-monitor')
}

export function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)
  } catch {
    return []
  }
}

/** Processes that were started with `marker` among their arguments. */
export const marked = (marker: string): Process[] => processes().filter((one) => commandLine(one.pid).includes(marker))

/** Those of `them` that are still there after they had `ms` to end. A zombie counts while it is for us or them to reap. */
export async function left(them: Process[], ms = 3000): Promise<number[]> {
  const ours = new Set([process.pid, ...them.map((one) => one.pid)])
  for (const end = Date.now() + ms; ; await sleep(10)) {
    const still = processes().filter((one) => one.state !== 'Z' || ours.has(one.parent))
    const now = new Set(still.map((one) => one.key))
    const alive = them.filter((one) => now.has(one.key)).map((one) => one.pid)
    if (alive.length === 0 || Date.now() > end) return alive
  }
}

/** Waits until `check` holds; fails after `ms`. */
export async function until(check: () => boolean, what: string, ms = 40_000): Promise<void> {
  for (const end = Date.now() + ms; !check(); await sleep(5)) {
    if (Date.now() > end) throw new Error(`still not: ${what}`)
  }
}
