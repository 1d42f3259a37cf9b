// `npm run test:vm`: what jails come to on every kernel that Debian serves, for root, a plain user and one in a login
// session, compared with test/vm/kernels.json; then the repo's own suites on each.
//   --short               what CI runs: a sample of both, on 6.1 and 6.12, in a session
//   --kernels 6.1,6.12    only these
//   --users plain,session who runs the suites: root (for whom they take the plain user's part too), plain, session, or
//                         root-session: root on a machine that systemd runs
//   --no-suites           the table alone; --no-table: the suites alone; --no-conditions: not of restricted kernels
//   --write               kernels.json and docs/kernels.md become what was found
//   -- FILE[#PATTERN]…    test files, instead of all that start jails
// The last line sums up: tests, machines that had to answer, and what was skipped with its reason.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { bundle, WITHOUT_LANDLOCK } from './bundle.mjs'
import { toMarkdown } from './kernels.mjs'
import { ask, conclude, failed, passed, root, say, served, skipped, suites } from './machine.mjs'

const RECORD = `${root}test/vm/kernels.json`
const DOCUMENT = `${root}docs/kernels.md`
/** Without Landlock and id-mapped mounts. */
const OLDEST = '5.10'
const KERNELS = [OLDEST, '6.1', '6.12', '7.x']
const SESSION = 'bookworm'
const FOLDERS = ['launch', 'escape', 'limits', 'network', 'files', 'tier', 'vm']

// In a session these are what the short form is for.
const NEVER = ['needs a systemd session that delegates memory and pids', 'needs a systemd session that delegates cpu']
const SHORT = { kernels: ['6.1', '6.12'], must: '6.1', seconds: '900' }
const SAMPLE = [
  // Not the one that loads the whole command line tool, which alone may take its minutes in an emulated machine.
  'test/vm/session.test.ts#has its limits|leaves no scope|ends at its memory|no more processes|is paused|waits for its share',
  'test/launch/exit.test.ts#exit (0|77)$|SIGTERM|daemon',
  'test/escape/namespaces.test.ts#unshare CLONE_NEW(USER|NS)$|pivot_root|chroot',
  'test/escape/files.test.ts#shadow|planted link'
]
/** What administrators and distributions do to a kernel, made on one that has it all. */
const CONDITIONS = [
  ['no Landlock', '-a', 'lsm=lockdown,yama,apparmor'],
  ['no memory controller', '-a', 'cgroup_disable=memory'],
  ['no user namespaces for users', '-S', 'kernel.unprivileged_userns_clone=0'],
  ['no user namespaces', '-S', 'user.max_user_namespaces=0']
].map(([name, ...options]) => ({ name, kernel: '6.12', why: options[1], options }))

const { values, positionals } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    kernels: { type: 'string', default: KERNELS.join() },
    users: { type: 'string', default: 'root,session' },
    suites: { type: 'boolean', default: true },
    table: { type: 'boolean', default: true },
    conditions: { type: 'boolean', default: true },
    write: { type: 'boolean', default: false }
  },
  allowPositionals: true,
  allowNegative: true
})

const testsIn = (folder) =>
  readdirSync(root + folder)
    .filter((name) => name.endsWith('.test.ts'))
    .sort()
    .map((name) => `${folder}/${name}`)
const all = FOLDERS.flatMap((folder) => testsIn(`test/${folder}`))
const files = positionals.length ? positionals : values.short ? SAMPLE : all

const OPTIONS = { root: [], plain: ['-u'], session: ['-u', '-s', SESSION], 'root-session': ['-s', SESSION] }
const record = () => JSON.parse(readFileSync(RECORD, 'utf8'))
const sameAs = (title, was, is) =>
  isDeepStrictEqual(was, is)
    ? passed()
    : failed(`${title}: ${JSON.stringify(is)} is not what test/vm/kernels.json has: ${JSON.stringify(was)}`)

/** What every caller gets on a kernel; undefined when a machine failed. */
async function column(kernel, { options = [], ...about } = {}) {
  const machine = ['-k', kernel, '-t', '1200', ...options]
  const title = `table of ${[kernel, ...options].join(' ')}`
  const [both, session] = await Promise.all([
    ask(title, machine, ['node', 'test/vm/probe.mjs']),
    ask(`${title}, session`, [...machine, ...OPTIONS.session], ['node', 'test/vm/probe.mjs', 'session'])
  ])
  return both && session && { name: kernel, ...about, ...both, ...session }
}

/** Each column as it comes: with --write it replaces the one of its name. */
async function table(kernels) {
  for (const kernel of kernels) judge('kernels', await column(kernel))
  if (!values.conditions) return
  for (const condition of CONDITIONS.filter(({ kernel }) => kernels.includes(kernel)))
    judge('conditions', await column(condition.kernel, condition))
}

function judge(list, is) {
  if (!is) return
  const all = record()
  const same = ({ name }) => name === is.name
  if (!values.write) return sameAs(is.name, all[list].find(same), is)
  const order = list === 'kernels' ? KERNELS : CONDITIONS.map(({ name }) => name)
  all[list] = order.flatMap((name) => (name === is.name ? [is] : all[list].filter((one) => one.name === name)))
  write(all)
  passed()
}

async function suitesOf(kernel, user) {
  const title = `${kernel}, ${user}`
  const old = kernel === OLDEST
  if (old && user.startsWith('root')) return skipped(title, 'launches by root need Linux 5.12')
  const options = ['-k', kernel, '-t', '7200', ...OPTIONS[user], ...(old ? ['-r', `profiles=${WITHOUT_LANDLOCK}`] : [])]
  await suites(title, options, files, { onFile: (found) => values.write && keep(kernel, user, found) })
}

/** Replaces what was known of this file there; one that failed is not told. */
function keep(kernel, user, { file, passed, skipped, good }) {
  const all = record()
  const others = all.suites.filter((one) => one.kernel !== kernel || one.user !== user || one.file !== file)
  const mine = good ? [{ kernel, user, file, passed, skipped }] : []
  const place = (one) => [KERNELS.indexOf(one.kernel), Object.keys(OPTIONS).indexOf(one.user)]
  const order = (a, b) => place(a)[0] - place(b)[0] || place(a)[1] - place(b)[1] || (a.file < b.file ? -1 : 1)
  write({ ...all, suites: [...others, ...mine].sort(order) })
}

function write(all) {
  writeFileSync(RECORD, `${JSON.stringify(all, null, 2)}\n`)
  writeFileSync(DOCUMENT, toMarkdown(all))
}

async function whole() {
  const kernels = values.kernels.split(',').filter((kernel) => served(kernel === '6.1', 'kernel', kernel))
  if (values.table) await table(kernels)
  if (!values.suites) return
  for (const kernel of kernels) for (const user of values.users.split(',')) await suitesOf(kernel, user)
}

/** Both machines at once: each has one busy processor most of the time. */
async function short() {
  const kernels = SHORT.kernels.filter((kernel) => served(kernel === SHORT.must, 'kernel', kernel))
  if (!served(true, 'image', SESSION)) return
  await Promise.all(
    kernels.map(async (kernel) => {
      const options = ['-k', kernel, '-t', SHORT.seconds, ...OPTIONS.session]
      const before = 'node test/vm/probe.mjs session'
      const found = await suites(kernel, options, files, { before, patience: 90, never: NEVER })
      const { session, delegated } = record().kernels.find(({ name }) => name === kernel)
      if (found) sameAs(`${kernel}, session`, { session, delegated }, found)
    })
  )
}

if (process.arch !== 'x64') skipped('every machine', 'needs an x86_64 kernel')
else if (process.getuid() !== 0) skipped('every machine', 'needs root')
else {
  const began = performance.now()
  await bundle(files.map((file) => file.split('#')[0]))
  await (values.short ? short() : whole())
  say(`${Math.round((performance.now() - began) / 1000)} s`)
}
conclude()
