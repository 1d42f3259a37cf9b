// Runs in a guest of test/vm as root, on a kernel with AppArmor:
//   test/vm/run -k 6.12 -a lsm=landlock,lockdown,yama,apparmor -- node test/realities/apparmor.mjs [USER…]
// Loads profiles as distributions and container engines have them, and launches below each, as root and as a plain user.
// Prints a line for each case; ends with 1 when one is not as it should be.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const qi = fileURLToPath(new URL('../../bin/qi-jail', import.meta.url))
const monitor = fileURLToPath(new URL('../../build/Release/qi-monitor', import.meta.url))
const ALL_BUT = 'file, network, unix, signal, ptrace, umount, pivot_root,'

/** Mounts that are not in place yet have no path that AppArmor could tell, without this flag. */
const FLAGS = 'flags=(attach_disconnected)'
/**
 * Without capabilities in the new user namespace the map is refused, as below Ubuntu's restriction; without mounts it is as in
 * a container of Docker's.
 */
const PROFILES = {
  qi_no_capabilities: `profile qi_no_capabilities ${FLAGS} { ${ALL_BUT} mount, }`,
  qi_no_mounts: `profile qi_no_mounts ${FLAGS} { ${ALL_BUT} capability, }`,
  qi_all: `profile qi_all ${FLAGS} { ${ALL_BUT} mount, capability, }`
}
const attached = (name, rules) => `profile ${name} ${monitor} ${FLAGS} { ${ALL_BUT} ${rules} }`

function load(text, option = '--replace') {
  const run = spawnSync('apparmor_parser', [option, '--skip-cache'], { input: text, encoding: 'utf8' })
  if (run.status !== 0) throw new Error(`apparmor_parser: ${run.stderr}`)
}

/** `qi-jail` below a profile (or none), as root or as the guest's plain user. */
function launch(user, profile) {
  const home = `/tmp/${user}-${profile ?? 'none'}`
  mkdirSync(home, { recursive: true })
  spawnSync('chown', [`${user}:`, home])
  const enter = profile ? `echo "exec ${profile}" > /proc/self/attr/apparmor/exec && ` : ''
  const become = user === 'root' ? [] : ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups', '--']
  const [file, ...args] = [...become, 'sh', '-c', `${enter}exec "$@"`, 'sh', process.execPath, qi, '--json', '--', 'id']
  const run = spawnSync(file, args, { cwd: home, encoding: 'utf8', env: { PATH: process.env.PATH, HOME: home } })
  const line = run.stderr.split('\n').find((text) => text.startsWith('{"error"'))
  const { code, stepName, errno, hint } = line ? JSON.parse(line).error : {}
  return { status: run.status, ...(code ? { code, stepName, errno, hint } : {}), ...(line ? {} : { said: run.stderr }) }
}

let wrong = 0
function expectThat(title, found, wanted) {
  const right = Object.entries(wanted).every(([key, value]) =>
    value.test ? value.test(found[key]) : value === found[key]
  )
  if (!right) wrong++
  console.log(right ? 'ok' : 'WRONG', title, JSON.stringify(found))
}

spawnSync('mount', ['-t', 'securityfs', 'securityfs', '/sys/kernel/security'])
if (!readFileSync('/sys/kernel/security/lsm', 'utf8').includes('apparmor'))
  throw new Error('this kernel has no AppArmor')
for (const text of Object.values(PROFILES)) load(text)
const refused = { status: 125, code: 'QI_LAUNCH', errno: /^E(PERM|ACCES)$/ }

for (const user of process.argv.length > 2 ? process.argv.slice(2) : ['root', 'tester']) {
  expectThat(`${user}, no profile`, launch(user), { status: 0 })
  for (const name of ['qi_no_capabilities', 'qi_no_mounts']) {
    const hint = new RegExp(`AppArmor profile ${name}.*apparmor=unconfined`)
    const asRoot = { status: 125, code: 'QI_ROOT_UNPRIVILEGED' } // AppArmor tells it has no capabilities
    const plainly = { ...refused, hint }
    expectThat(`${user}, ${name}`, launch(user, name), user === 'root' && name.endsWith('ies') ? asRoot : plainly)
  }
  load(attached('qi_monitor', 'mount,'))
  expectThat(`${user}, qi-monitor alone without capabilities`, launch(user), { ...refused, hint: /security module/ })
  expectThat(`${user}, all allowed`, launch(user, 'qi_all'), { status: 0 })
  load(attached('qi_monitor', ''), '--remove')
}
process.exit(wrong === 0 ? 0 : 1)
