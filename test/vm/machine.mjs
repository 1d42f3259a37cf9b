// What test/vm/run answers, counted as tests are.
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { bundleOf, DIST, SUITE } from './bundle.mjs'

export const root = fileURLToPath(new URL('../../', import.meta.url))

export const counts = { passed: 0, failed: 0, skipped: 0 }
const skips = new Map()
export const say = (text) => console.error(`test/vm: ${text}`)

export function passed(number = 1) {
  counts.passed += number
}

export function failed(text) {
  counts.failed++
  say(`failed: ${text}`)
}

/** A skip for a reason that test/allowed-skips.txt does not list, or that `never` has, is a failure. */
export function skipped(text, reason, never = []) {
  const allowed = readFileSync(`${root}test/allowed-skips.txt`, 'utf8').split('\n')
  if (!allowed.includes(reason) || never.includes(reason)) return failed(`${text}: skipped: ${reason}`)
  counts.skipped++
  skips.set(reason, (skips.get(reason) ?? 0) + 1)
}

/** The last line of all, and the exit code. */
export function conclude() {
  for (const [reason, number] of skips) say(`skipped ${number} because: ${reason}`)
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
  process.exitCode = counts.failed || counts.passed + counts.skipped === 0 ? 1 : 0
}

/** What Debian's mirror has is here afterwards. Without `must` it may be gone from there, which is a skip. */
export function served(must, ...what) {
  const { status } = spawnSync(`${root}test/vm/fetch`, what, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status === 0) return true
  if (status === 3 && !must) skipped(what.join(' '), `Debian does not serve ${what.join(' ')}`)
  else failed(`cannot get ${what.join(' ')}`)
  return false
}

/** What `command` printed in a machine, line by line as it comes, and how it ended. */
async function machine(options, command, onLine = () => {}) {
  const child = spawn(`${root}test/vm/run`, [...options, '--', ...command], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  const lines = []
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    onLine(line)
  }
  return { code: await ended, stdout: lines.join('\n') }
}

const HOW = { 124: 'it was too slow', 125: 'the machine failed, see above' }
const ending = ({ code, stdout }) => `ended with ${code}${HOW[code] ? ` (${HOW[code]})` : ''}: ${stdout.slice(-2000)}`

const parsed = (line) => {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** The line of JSON that a command prints; undefined when there was none, which is counted. */
export async function ask(title, options, command) {
  const answer = await machine(['-r', `dist=${DIST}`, ...options], command)
  const found = answer.code === 0 ? parsed(answer.stdout) : undefined
  if (found === undefined) failed(`${title}: ${ending(answer)}`)
  return found
}

/**
 * The repo's own test files, unchanged, in one machine; they were bundled before. A file is `path` or `path#pattern`, a
 * regular expression for names of tests. `before` runs first; the line of JSON that it prints is returned. `patience`:
 * seconds for a test or a hook; emulated, everything takes about twenty times as long. `onFile` is told what came of each.
 */
export async function suites(title, options, files, how = {}) {
  const { before = 'echo null', patience = 600, never, onFile = () => {} } = how
  const quoted = files.map((file) => `'${file.replace(/^[^#]*/, bundleOf)}'`).join(' ')
  const command = ['bash', '-c', `${before} && exec node ${SUITE} ${patience * 1000} ${quoted}`]
  const answers = []
  const answer = await machine(['-r', `dist=${DIST}`, ...options], command, (line) => {
    if (line === '') return
    const at = answers.push(parsed(line)) - 2 // the first is the one of `before`
    if (at >= 0) onFile({ file: files[at], ...countFile(`${title}: ${files[at]}`, answers.at(-1), never) })
  })
  const missing = files.slice(Math.max(0, answers.length - 1))
  if (missing.length || answer.code) failed(`${title}: ${missing[0] ?? ''} ${ending(answer)}`)
  return answers[0]
}

function countFile(title, file, never) {
  const before = counts.failed
  if (!file) failed(`${title}: no line of JSON`)
  else countTests(title, file, never)
  const skips = file?.tests.flatMap(({ state, note }) => (state === 'skip' ? [note ?? 'no reason'] : [])) ?? []
  const passes = file?.tests.filter(({ state }) => state === 'pass').length ?? 0
  return { passed: passes, skipped: skips, good: counts.failed === before }
}

function countTests(title, file, never) {
  for (const error of file.errors) failed(`${title}: ${error}`)
  const of = (state) => file.tests.filter((one) => one.state === state)
  const [good, bad, left] = [of('pass'), of('fail'), of('skip')]
  passed(good.length)
  for (const { name, errors } of bad) failed(`${title}: ${name}: ${errors.join('\n')}`)
  for (const { name, note } of left) skipped(`${title}: ${name}`, note ?? 'no reason', never)
  if (!file.tests.length && !file.errors.length) failed(`${title}: no test`)
  const seconds = Math.round(file.ms / 1000)
  say(`${title}: ${good.length} passed, ${bad.length} failed, ${left.length} skipped in ${seconds} s`)
}
