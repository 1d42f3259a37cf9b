import { describe, expect, test } from 'vitest'
import { users } from '../support/user.js'
import { expectRefused, expectWhole, launchIn, ordinaryFor, type Refusal, type World } from './support.js'

describe.each(users)('an ordinary host, for %s', (user) => {
  test('the payload sees what it should, nothing is left, and what is enforced is told', async () => {
    const { status, stdout, protections, left, files } = await ordinaryFor(user)
    expect({ status, left, files }).toEqual({ status: 42, left: '', files: ['project', 'project/made'] })
    expect(stdout).toMatch(/^CapEff:\s+0+$/m)
    expect(stdout).toMatch(/^NoNewPrivs:\s+1$/m)
    expect(stdout).toMatch(/^Seccomp:\s+2$/m)
    expect(Object.keys(protections).length).toBeGreaterThan(15)
    expect(protections).toMatchObject({ userNamespace: 'enforced', privateRoot: 'enforced', seccomp: 'enforced' })
  })
})

const zero = (name: string, value = 0): World => ({ prepare: `echo ${value} > /proc/sys/user/${name}` })
const readOnly = (path: string): World => ({
  prepare: `mount --bind ${path} ${path}; mount -o remount,bind,ro ${path}`
})

/** user.* is counted per user namespace: a launch of the host's root meets it only where the machine has it. */
const OWN_NAMESPACE: [what: string, world: World, refusal: Refusal][] = [
  [
    'user.max_user_namespaces = 0',
    zero('max_user_namespaces'),
    { at: 'CloneJail ENOSPC', hint: /user\.max_user_namespaces is 0.*sysctl -w user\.max_user_namespaces=/ }
  ],
  [
    'user.max_net_namespaces = 0',
    zero('max_net_namespaces'),
    { at: 'CloneJail ENOSPC', hint: /user\.max_net_namespaces is 0.*sysctl -w user\.max_net_namespaces=/ }
  ],
  [
    'one user namespace left of the two that a jail needs',
    zero('max_user_namespaces', 1),
    { at: 'NestUserNamespace ENOSPC', hint: /a jail needs two: raise user\.max_user_namespaces/ }
  ]
]

describe('limits of namespaces', () => {
  test.each(OWN_NAMESPACE)('%s: refused', (_what, world, refusal) => expectRefused('plain', world, refusal))
  test('as many as one jail needs: whole', () => expectWhole('plain', zero('max_user_namespaces', 2)))
})

/** What is wrong, what qi-jail says, and the world in which its remedy was applied. */
const PROC: [what: string, world: World, refusal: Refusal, remedied: World][] = [
  [
    'a file of /proc is hidden',
    { prepare: 'mount --bind /dev/null /proc/timer_list' },
    { at: 'MountProc EPERM', hint: /systempaths=unconfined.*unmask=ALL.*procMount: Unmasked/ },
    { prepare: 'mount --bind /dev/null /proc/timer_list; umount /proc/timer_list' }
  ],
  [
    'a folder of /proc is hidden',
    { prepare: 'mount -t tmpfs tmpfs /proc/tty' },
    { at: 'MountProc EPERM', hint: /systempaths=unconfined/ },
    { prepare: 'mount -t tmpfs tmpfs /proc/tty; umount /proc/tty' }
  ],
  [
    '/proc/sys is read-only',
    readOnly('/proc/sys'),
    { at: 'MountProc EPERM', hint: /read-only.*ProtectKernelTunables=no/ },
    { prepare: `${readOnly('/proc/sys').prepare}; umount /proc/sys` }
  ],
  [
    '/proc is read-only',
    { prepare: 'mount -o remount,bind,ro /proc' },
    { at: 'MapGroups EROFS', hint: /mount it writable/ },
    { prepare: 'mount -o remount,bind,ro /proc; mount -o remount,bind,rw /proc' }
  ],
  [
    '/proc is of another pid namespace',
    { strangeProc: true },
    { at: 'MapGroups ESRCH', hint: /own pid namespace: mount it, as unshare --mount-proc/ },
    { strangeProc: true, prepare: 'mount -t proc proc /proc' }
  ],
  [
    'there is no /proc',
    { prepare: 'mount -t tmpfs tmpfs /proc' },
    { code: 'QI_HOST', hint: /\/proc of its own pid namespace: mount it/ },
    { prepare: 'mount -t tmpfs tmpfs /proc; mount -t proc proc /proc' }
  ]
]

describe.each(users)('/proc, for %s', (user) => {
  test.each(PROC)('%s: refused', (_what, world, refusal) => expectRefused(user, world, refusal))
  test.each(PROC)('%s, after the remedy: whole', (_what, _world, _refusal, world) => expectWhole(user, world))
})

/** Nothing of these is needed. */
const HARMLESS: [what: string, world: World][] = [
  ['control groups that are read-only', { prepare: 'mount -t tmpfs -o ro tmpfs /sys/fs/cgroup' }],
  ['no control groups', { prepare: 'mount -t tmpfs tmpfs /sys/fs/cgroup' }],
  ['no /sys', { prepare: 'mount -t tmpfs tmpfs /sys' }],
  ['no /dev/shm, no /run', { prepare: 'mount -t tmpfs -o ro tmpfs /dev/shm; mount -t tmpfs -o ro tmpfs /run' }],
  ['a host without setuid programs and devices', { prepare: 'mount -o remount,bind,nosuid,nodev /' }],
  ['no memory may be locked', { before: ['prlimit', '--memlock=0'] }],
  ['256 descriptors', { before: ['prlimit', '--nofile=256'] }],
  ['64 descriptors', { before: ['prlimit', '--nofile=64'] }],
  ['no core dumps, a small stack', { before: ['prlimit', '--core=0', '--stack=1048576'] }],
  ['no_new_privs is set', { before: ['setpriv', '--no-new-privs'] }],
  [
    'vm.memfd_noexec = 2: no memfd may be executable',
    { madeByRoot: true, prepare: 'echo 2 > /proc/sys/vm/memfd_noexec; grep -qx 2 /proc/sys/vm/memfd_noexec' }
  ]
]

describe.each(users)('what is not needed, for %s', (user) => {
  test.each(HARMLESS)('%s: whole', (_what, world) => expectWhole(user, world))
})

describe.each(users)('descriptors, for %s', (user) => {
  test.each([18, 20])('%i: refused by a word of ours', async (count) => {
    const { status, stderr, stdout, left, files } = await launchIn(user, { before: ['prlimit', `--nofile=${count}`] })
    expect({ status, stdout, left, files }).toEqual({ status: 125, stdout: '', left: '', files: ['project'] })
    expect(stderr).toMatch(/QI_(HOST|SPAWN).*EMFILE.*raise the limit.*ulimit -n \d+/)
  })
})

// Also where libseccomp's program just fits, or is cut, and the plan is.
describe.each(users)('files may not grow, for %s', (user) => {
  test.each([0, 1024, 16_384])('beyond %i bytes: refused by a word of ours', async (size) => {
    const { status, stderr, stdout, left, files } = await launchIn(user, { before: ['prlimit', `--fsize=${size}`] })
    expect({ status, stdout, left, files }).toEqual({ status: 125, stdout: '', left: '', files: ['project'] })
    expect(stderr).toMatch(/QI_(FILTER|SPAWN).*EFBIG.*raise the limit.*ulimit -f unlimited/)
  })

  test('beyond a megabyte: whole', () => expectWhole(user, { before: ['prlimit', `--fsize=${2 ** 20}`] }))
})

const without = (...names: string[]) => names.map((name) => `-${name}`).join(',')

describe.each(users.filter((user) => user === 'root'))('%s', () => {
  test.each(['setfcap', 'dac_override', 'sys_ptrace', 'kill,net_admin,sys_resource,mknod,chown,fowner,fsetid'])(
    'without CAP_%s: whole',
    (names) => expectWhole('root', { asRoot: ['setpriv', `--bounding-set=${without(...names.split(','))}`] })
  )

  test('with no capability but the three that a root launch needs: whole', () =>
    expectWhole('root', { asRoot: ['setpriv', '--bounding-set=-all,+sys_admin,+setuid,+setgid'] }))

  test.each(['sys_admin', 'setuid', 'setgid'])('without CAP_%s: refused', (name) => {
    const asRoot = ['setpriv', `--bounding-set=-${name}`]
    return expectRefused('root', { asRoot }, { code: 'QI_ROOT_UNPRIVILEGED', hint: /run as an ordinary user/ })
  })

  test('of a user namespace, as in a rootless container: refused; as an ordinary user of it: whole', async () => {
    const asRoot = ['unshare', '--user', '--map-root-user']
    await expectRefused('root', { asRoot }, { code: 'QI_ROOT_UNPRIVILEGED', hint: /podman run --user 1000/ })
    await expectWhole('plain', {})
  })
})

describe.each(users)('user namespaces, for %s', (user) => {
  test('the user has no id in its own: refused', () =>
    expectRefused(user, { before: ['unshare', '--user'] }, { at: 'CloneJail EPERM', hint: /--map-current-user/ }))

  const prepare = 'mkdir "$HOME/root"; mount --rbind / "$HOME/root"; mount --rbind /proc "$HOME/root/proc"'
  const clear = 'umount -l "$HOME/root"; rmdir "$HOME/root"'

  test('in a chroot: refused', () => {
    const asRoot = ['sh', '-c', 'exec chroot "$HOME/root" "$@"', 'sh']
    return expectRefused(user, { prepare, clear, asRoot }, { at: 'CloneJail EPERM', hint: /in a chroot.*pivot_root/ })
  })

  test('the same folder, entered by pivot_root: whole', () => {
    const pivot = 'cd "$HOME/root" && pivot_root . . && umount -l . && cd / && exec "$@"'
    return expectWhole(user, { prepare, clear, asRoot: ['unshare', '--mount', 'sh', '-c', pivot, 'sh'] })
  })
})
