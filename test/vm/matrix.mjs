// `npm run test:vm`: the suites and the table of protections on every kernel that Debian serves, one machine at a time.
//   --kernels 6.1,6.12   only these; docs/kernels.md is then neither written nor checked
//   --users root,plain   who runs the suites
//   --no-suites          the table alone
//   --check              docs/kernels.md must already say what was found (it is written otherwise)
//   -- ARGUMENT…         of vitest, instead of the suites below
// The last line sums up: tests, machines that had to answer, and what was skipped with its reason.
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { toMarkdown } from './kernels.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const document = `${root}docs/kernels.md`
const KERNELS = ['5.10', '6.1', '6.12', '7.x']
const SUITES = ['test/launch', 'test/escape']
const SESSION = 'bookworm'
/** Emulated, everything takes about twenty times as long. */
const PATIENCE = ['--testTimeout=600000', '--hookTimeout=600000', '--no-color']
/** What administrators and distributions do to a kernel, made on one that has it all. */
const CONDITIONS = [
  {
    name: 'no Landlock',
    kernel: '6.12',
    why: 'lsm=lockdown,yama,apparmor',
    options: ['-a', 'lsm=lockdown,yama,apparmor']
  },
  {
    name: 'no memory controller',
    kernel: '6.12',
    why: 'cgroup_disable=memory',
    options: ['-a', 'cgroup_disable=memory']
  },
  {
    name: 'no user namespaces for users',
    kernel: '6.12',
    why: 'kernel.unprivileged_userns_clone=0',
    options: ['-S', 'kernel.unprivileged_userns_clone=0']
  },
  {
    name: 'no user namespaces',
    kernel: '6.12',
    why: 'user.max_user_namespaces=0',
    options: ['-S', 'user.max_user_namespaces=0']
  }
]

const { values, positionals } = parseArgs({
  options: {
    kernels: { type: 'string' },
    users: { type: 'string', default: 'root,plain' },
    suites: { type: 'boolean', default: true },
    check: { type: 'boolean', default: false }
  },
  allowPositionals: true,
  allowNegative: true
})
const kernels = values.kernels?.split(',') ?? KERNELS
const counts = { passed: 0, failed: 0, skipped: 0 }
const say = (text) => console.error(`test/vm: ${text}`)

/** What `command` printed in a machine, and how it ended. */
async function machine(options, command) {
  const child = spawn(`${root}test/vm/run`, [...options, '--', ...command], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const chunks = []
  child.stdout.on('data', (chunk) => chunks.push(chunk))
  const code = await new Promise((resolve) => child.once('close', resolve))
  return { code, stdout: Buffer.concat(chunks).toString() }
}

function count(state, text) {
  counts[state]++
  say(`${state}: ${text}`)
}

/** An answer in JSON; undefined when there was none, which is counted. */
async function ask(title, options, command) {
  const { code, stdout } = await machine(options, command)
  try {
    if (code === 0) return JSON.parse(stdout)
  } catch {}
  count('failed', `${title}: ended with ${code}: ${stdout}`)
}

const PROBE = ['node', 'test/vm/probe.mjs']
const DELEGATED = ['systemd-run', '--user', '--scope', '--quiet', '-p', 'Delegate=yes', ...PROBE, 'delegated']

async function probe(kernel, options = []) {
  const found = await ask(`table of ${[kernel, ...options].join(' ')}`, ['-k', kernel, '-t', '300', ...options], PROBE)
  if (found) counts.passed++
  return found
}

async function delegation(kernel) {
  const title = `delegation on ${kernel}`
  const found = await ask(title, ['-k', kernel, '-u', '-s', SESSION, '-t', '300'], DELEGATED)
  if (found) counts.passed++
  return found
}

/** The repo's own suites, unchanged. */
async function suites(kernel, user) {
  const files = positionals.length ? positionals : SUITES
  const report = '/tmp/vitest.json'
  const vitest = `npx vitest run ${[...files, ...PATIENCE].join(' ')} --reporter=json --outputFile=${report} >&2; cat ${report}`
  const options = ['-k', kernel, '-t', '3000', ...(user === 'plain' ? ['-u'] : [])]
  const result = await ask(`suites on ${kernel} as ${user}`, options, ['bash', '-c', vitest])
  if (!result) return
  counts.passed += result.numPassedTests
  counts.failed += result.numFailedTests
  counts.skipped += result.numPendingTests + result.numTodoTests
  for (const file of result.testResults) {
    const failed = file.assertionResults.filter((test) => test.status === 'failed')
    if (file.status === 'failed' && failed.length === 0)
      count('failed', `${kernel}, ${user}: ${file.name}: ${file.message}`)
    for (const test of failed)
      say(`failed: ${kernel}, ${user}: ${file.name.slice(root.length)}: ${test.fullName}: ${test.failureMessages[0]}`)
  }
  say(
    `${kernel}, ${user}: ${result.numPassedTests} passed, ${result.numFailedTests} failed, ${result.numPendingTests} skipped`
  )
}

/** Only of the whole table: a kernel that was not there would be a column less. */
function concludeDocument() {
  if (columns.length < KERNELS.length + CONDITIONS.length)
    return count('skipped', 'docs/kernels.md: not every kernel answered')
  const text = toMarkdown(columns)
  if (!values.check) return writeFileSync(document, text)
  if (readFileSync(document, 'utf8') === text) counts.passed++
  else count('failed', 'docs/kernels.md does not say what was found: npm run test:vm -- --no-suites writes it')
}

function served(kernel) {
  const { status } = spawnSync(`${root}test/vm/fetch`, ['kernel', kernel], { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status === 3) count('skipped', `kernel ${kernel}: Debian's mirror does not serve it`)
  return status !== 3
}

const columns = []
for (const kernel of kernels) {
  if (!served(kernel)) continue
  say(kernel)
  const found = await probe(kernel)
  if (!found) continue
  columns.push({ name: kernel, ...found, delegated: await delegation(kernel) })
  if (!values.suites) continue
  for (const user of values.users.split(',')) await suites(kernel, user)
}
if (!values.kernels) {
  for (const condition of CONDITIONS.filter(({ kernel }) => columns.some(({ name }) => name === kernel))) {
    const found = await probe(condition.kernel, condition.options)
    if (found) columns.push({ ...condition, ...found })
  }
  concludeDocument()
}
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
process.exitCode = counts.failed || !counts.passed ? 1 : 0
