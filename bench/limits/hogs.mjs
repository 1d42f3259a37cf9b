// Jails with hogs in them, for the measurements of run.mjs.
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { spawnSandboxed } from '../../dist/index.js'

export const HOG = fileURLToPath(new URL('../../build/Release/test-tools/hog', import.meta.url))
export const MB = 2 ** 20
const env = { PATH: process.env.PATH, HOME: '/nonexistent' }
const TOLERATE = ['memoryLimit', 'cpuLimit', 'processLimit', 'ioLimit', 'landlockFs', 'landlockNet', 'landlockScope']

/** `words`: hog's; an array of arrays' first word may be another program. */
export async function start(words, resources, filesystem = {}) {
  const argv = words[0].startsWith('/') ? words : [HOG, ...words]
  const config = { tolerate: [...TOLERATE, 'mandatoryDenies'], resources, filesystem }
  const known = new Set(monitors())
  const jail = await spawnSandboxed(config, argv, { stdio: ['ignore', 'pipe', 'inherit'], cwd: '/', env })
  let text = ''
  jail.stdout.on('data', (chunk) => (text += chunk))
  return { jail, text: () => text, monitor: monitors().find((pid) => !known.has(pid)) }
}

export async function until(check, what) {
  for (const end = Date.now() + 120_000; !check(); await sleep(5))
    if (Date.now() > end) throw new Error(`still not: ${what}`)
}

/** The most that hog said it had. */
export const reached = (text) =>
  Math.max(0, ...[...text.matchAll(/^(?:reached|OK|E[A-Z]+) (\d+)$/gm)].map((match) => Number(match[1])))

export const backendOf = (jail) =>
  jail.protections.find((one) => one.name === 'memoryLimit').state === 'enforced' ? 'cgroup' : 'watchdog'

/** qi-monitors that this process started. */
export function monitors() {
  return readdirSync('/proc/self/task').flatMap((tid) =>
    readFileSync(`/proc/self/task/${tid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
  )
}

/** Nanoseconds of processor time of `pid`, and how often it had nothing to do: qi-monitor sleeps once after each look. */
export function usageOf(pid) {
  const [cpu] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ').map(Number)
  const sleeps = Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/^voluntary_ctxt_switches:\s+(\d+)$/m)[1])
  return { cpu, sleeps }
}
