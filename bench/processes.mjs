// Memory and work of processes. PSS: pages that are shared are counted in parts. proc_pid_smaps(5)
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** @returns '' of a process that ended, undefined where the kernel does not tell us. */
const read = (pid, name) => {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch (error) {
    return ['ENOENT', 'ESRCH'].includes(error.code) ? '' : undefined
  }
}
/** Fields of stat(5) from the third on: a name may hold blanks and parentheses. */
const statOf = (pid) => {
  const stat = read(pid, 'stat') ?? ''
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** [pid, parent] of every process. */
const parents = () =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => [Number(pid), Number(statOf(pid)[1])])

/** What descends from `root`, without it. */
export function descendants(root) {
  const children = new Map()
  for (const [pid, parent] of parents()) children.set(parent, [...(children.get(parent) ?? []), pid])
  const below = (pid) => (children.get(pid) ?? []).flatMap((child) => [child, ...below(child)])
  return below(root)
}

export const commandOf = (pid) => (read(pid, 'cmdline') ?? '').replaceAll('\0', ' ').trim()

/** Bytes; 0 of a process that ended, NaN where the kernel does not tell. */
export function pss(pid) {
  const text = read(pid, 'smaps_rollup')
  return text === '' ? 0 : Number(/^Pss:\s+(\d+) kB/m.exec(text ?? '')?.[1]) * 1024
}

/** Bytes of all that descends from `root`, but for itself and what `payload` matches. */
export const besides = (root, payload) => sumOf(helpers(root, payload), pss)

/** All that descends from `root`, but for itself and what `payload` matches. */
export const helpers = (root, payload) => descendants(root).filter((pid) => !payload.test(commandOf(pid)))

export const sumOf = (pids, measure) => pids.reduce((sum, pid) => sum + measure(pid), 0)

const TICKS_A_SECOND = 100 // USER_HZ, on every architecture of ours

/** Milliseconds of processor time so far. */
const worked = (pid) => {
  const stat = statOf(pid)
  return ((Number(stat[11]) + Number(stat[12])) * 1000) / TICKS_A_SECOND
}
const woken = (pid) => Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(read(pid, 'status') ?? '')?.[1])

/** What processes do by themselves: processor time and wake-ups, all together, per second. */
export async function idling(pids, seconds) {
  const [before, wakeUps] = [sumOf(pids, worked), sumOf(pids, woken)]
  await sleep(seconds * 1000)
  return {
    'processor, ms a second': +((sumOf(pids, worked) - before) / seconds).toFixed(2),
    'wake-ups a second': +((sumOf(pids, woken) - wakeUps) / seconds).toFixed(2)
  }
}
